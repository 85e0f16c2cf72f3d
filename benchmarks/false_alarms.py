"""How often new good parts are called anomalous: thresholds of some good parts, measured on the others.

    python -m benchmarks.false_alarms --data NAME:manifest=PATH/manifest.csv --out false-alarms

The normal images of a dataset are scored once, and the scores are kept in the folder. Then they are split at
random, again and again: one part calibrates, the other one is measured. One more split is by the order of the
file names. Of the dataset's anomalous images nothing is read.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zsad.data.spec import open_dataset
from zsad.detect.predictions import FailedImage, predict_files
from zsad.detect.provenance import about
from zsad.detect.request import DetectorRequest
from zsad.detect.threshold_rules import RATED, Rule, exact, threshold
from zsad.errors import InputError
from zsad.files import write_json
from zsad.plugin.host import get_host

COLUMNS = ("dataset", "of", "rule", "rate", "interval", "splits", "by_name", "calibrating", "measured")
RULES: tuple[Rule, ...] = ("conformal", "quantile", "mean-3std")


@dataclass(frozen=True)
class Measured:
    """What the normal images of a class gave.

    Attributes:
        dataset: Name of dataset and class.
        scores: Their image scores, by file name.
        peaks: The maxima of their maps.
    """

    dataset: str
    scores: tuple[float, ...]
    peaks: tuple[float, ...]


def measure(spec: str, method: str, backbone: str | None, folder: Path) -> Iterator[Measured]:
    """Score the normal images of every class of a dataset, or read what a former run has kept.

    Raises:
        InputError: There are no normal images, or one cannot be read.
    """
    from zsad.detect.loading import load

    host = get_host()
    dataset = open_dataset(spec, host)
    detector = load(DetectorRequest(method=method, backbone=backbone, device="cpu", dtype="float32"), host)
    known = about(detector)
    for name in dataset.classes:
        images = [image for image in dataset.restricted_to([name]).images if not image.anomalous]
        if not images:
            raise InputError(f"class '{name}' of {spec} has no normal image")
        key = [known.recipe_hash, known.backbone.sha256, known.weights.sha256, str(known.image_size)]
        key += [dataset.restricted_to([name]).manifest_hash, images[0].noun]
        kept = folder / f"{dataset.name}-{name}.json".replace(" ", "-")
        found = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
        if found.get("key") != key:
            scores, peaks = [], []
            for result in predict_files(detector, [image.image for image in images], images[0].noun, 8):
                if isinstance(result, FailedImage):
                    raise InputError(result.error)
                scores.append(result.score)
                peaks.append(float(result.anomaly_map.max()))
            found = {"key": key, "scores": scores, "peaks": peaks}
            write_json(kept, found)
        yield Measured(dataset.name, tuple(found["scores"]), tuple(found["peaks"]))


def rates(
    values: Sequence[float], rule: Rule, rate: Fraction, count: int, splits: int, seed: int
) -> npt.NDArray[np.float64]:
    """Return the share of false alarms among the good parts that did not calibrate, for each split.

    Args:
        values: One per good part.
        rule: The rule.
        rate: What it was asked for.
        count: How many calibrate.
        splits: How many splits.
        seed: Of the splits.
    """
    rng, given = np.random.default_rng(seed), np.asarray(values, np.float64)
    return np.array([_rate(given[rng.permutation(len(given))], rule, rate, count) for _ in range(splits)])


def _rate(values: npt.NDArray[np.float64], rule: Rule, rate: Fraction, count: int) -> float:
    level = threshold(rule, values[:count].tolist(), rate if rule in RATED else None)
    return float((values[count:] >= level).mean())


def rows(measured: Measured, rate: Fraction, count: int, splits: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yield a row per threshold and rule, as ``COLUMNS`` name its cells."""
    for what, values in (("score", measured.scores), ("map", measured.peaks)):
        for rule in RULES:
            found = rates(values, rule, rate, count, splits, seed)
            mean, error = float(found.mean()), float(found.std(ddof=1) / np.sqrt(splits))
            low, high = np.quantile(found, [0.05, 0.95])
            yield {
                "dataset": measured.dataset,
                "of": what,
                "rule": rule,
                "rate": f"{mean:.1%}",
                "interval": f"{max(0.0, mean - 1.96 * error):.1%} to {mean + 1.96 * error:.1%}",
                "splits": f"{low:.1%} to {high:.1%}",
                "by_name": f"{_rate(np.asarray(values), rule, rate, count):.1%}",
                "calibrating": count,
                "measured": len(values) - count,
            }


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table and keep it in the folder."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.false_alarms", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--data", action="append", required=True, help="SPEC of a dataset with normal images")
    parser.add_argument("--method", default="clip-baseline")
    parser.add_argument("--backbone", default=None)
    parser.add_argument("--false-alarm", type=float, default=0.05)
    parser.add_argument(
        "--calibrating", type=int, default=39, help="good parts that calibrate, of each class"
    )
    parser.add_argument("--splits", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("false-alarms"))
    asked = parser.parse_args(argv)
    table = [
        row
        for spec in asked.data
        for found in measure(spec, asked.method, asked.backbone, asked.out)
        for row in rows(found, exact(asked.false_alarm), asked.calibrating, asked.splits, asked.seed)
    ]
    lines = [" | ".join(COLUMNS), "|".join("---" for _ in COLUMNS)]
    lines += [" | ".join(str(row[name]) for name in COLUMNS) for row in table]
    write_json(asked.out / "rates.json", table)
    print("\n".join(f"| {line} |" if "---" not in line else f"|{line}|" for line in lines))


if __name__ == "__main__":
    main()
