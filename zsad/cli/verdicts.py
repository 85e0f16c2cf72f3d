"""How ``zsad predict`` reads thresholds and shows what comes of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from zsad.cli.output import told_apart
from zsad.cli.paths import path
from zsad.errors import InputError

if TYPE_CHECKING:
    from zsad.detect.calibration import Calibration
    from zsad.detect.verdicts import Level

COLUMNS = ("path", "score", "decision", "confidence", "regions", "overlay")


def thresholds(
    threshold: str | None, pixel_threshold: float | None
) -> tuple[Calibration | None, Level | None, Level | None]:
    """Return what ``--threshold`` and ``--pixel-threshold`` say: calibration, level of scores, level of maps.

    Raises:
        InputError: One is no number, the file is no calibration, or both say the same thing.
    """
    from zsad.detect.calibration import read_calibration

    pixel = None if pixel_threshold is None else _level("--pixel-threshold", pixel_threshold)
    if threshold is None:
        return None, None, pixel
    try:
        return None, _level("--threshold", float(threshold)), pixel
    except ValueError:
        file = path(threshold)
    if not file.is_file():
        raise InputError(
            f"--threshold {threshold}: that is neither a number nor a file; give a score, for example 0.5, "
            "or what 'zsad calibrate' wrote"
        )
    calibration = read_calibration(file)
    if pixel is not None:
        raise InputError(
            f"--pixel-threshold {pixel_threshold}: {file} has a threshold of the map already; leave one of "
            "them out"
        )
    return calibration, calibration.image.level, calibration.pixel.level


def _level(option: str, value: float) -> Level:
    from zsad.detect.verdicts import Level

    if not math.isfinite(value):
        raise InputError(f"{option} {value} is no number; give one, for example 0.5")
    return Level(value)


def answer_columns(answers: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the table of answers: the columns that any of them fills, and the rows."""
    from zsad.detect.verdicts import confidence_words

    rows = [
        {
            **answer,
            "score": score,
            "confidence": confidence_words(answer["confidence"]) if "confidence" in answer else None,
            "regions": region_words(answer["regions"]) if "regions" in answer else None,
        }
        for answer, score in zip(answers, told_apart([each["score"] for each in answers]), strict=True)
    ]
    held = {name for row in rows for name, value in row.items() if value is not None}
    return [name for name in COLUMNS if name in held], rows


def region_words(regions: Sequence[Mapping[str, Any]]) -> str:
    """Return where the highest regions lie and how large they are: ``top left 1.3 %, centre 0.2 %``."""
    from zsad.detect.explanations import MENTIONED, area_words

    told = [f"{region['position']} {area_words(region['area_share'])}" for region in regions[:MENTIONED]]
    left = len(regions) - MENTIONED
    return ", ".join(told + [f"{left} more"] * (left > 0)) or "none"
