"""A calibration: thresholds from good parts, what they promise, and what they hold for. No torch here."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, ValidationError

from zsad.detect.provenance import Provenance
from zsad.detect.record import Record
from zsad.detect.threshold_rules import Rule
from zsad.detect.tiles import Tiling
from zsad.detect.verdicts import Level
from zsad.errors import InputError
from zsad.files import check_writable, write_json

Finite = Annotated[float, Field(allow_inf_nan=False)]


class Threshold(Record):
    """One of the two thresholds.

    Attributes:
        threshold: Value from which an image, or a pixel, counts as anomalous.
        scale: Of the confidence: (value - threshold) / scale goes into a sigmoid.
        promise: What is promised of new good parts, in words.
        values: What the good parts measured: their scores, or the maxima of their maps.
    """

    threshold: Finite
    scale: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    promise: str
    values: tuple[Finite, ...]

    @property
    def level(self) -> Level:
        """Threshold and scale, to judge by."""
        return Level(self.threshold, self.scale)


class TilingInfo(Record):
    """How images were cut; see :class:`zsad.detect.tiles.Tiling`."""

    side: int
    overlap: Finite


class _Bound(NamedTuple):
    """Something that scores depend on: what it is, what has to be the same, and how that is said."""

    what: str
    key: object
    said: str


class Calibration(Record):
    """Thresholds that were computed from good parts, bound to what computed their scores.

    Attributes:
        format: What kind of file this is.
        rule: The rule of both thresholds.
        false_alarm: The rate that the rule was given, or None for a rule without one.
        image: The threshold of image scores.
        pixel: The threshold of maps at native size: a good part counts by the maximum of its map.
        good_parts: Size and hash of each image that was measured.
        detector: What computed the scores.
        class_name: The noun of the object.
        batch_size: Images per pass where the answers depend on it, else None.
        tiling: How images were cut, or None.
        memory: Hash of the memory of reference images, or None for a detector without one.
    """

    format: Literal["zsad calibration 1"] = "zsad calibration 1"
    rule: Rule
    false_alarm: float | None
    image: Threshold
    pixel: Threshold
    good_parts: tuple[str, ...]
    detector: Provenance
    class_name: str
    batch_size: int | None
    tiling: TilingInfo | None
    memory: str | None = None

    def summary(self) -> dict[str, Any]:
        """Return what a record of predictions says of it, as plain data."""
        return {
            "rule": self.rule,
            "false_alarm": self.false_alarm,
            "good_parts": len(self.good_parts),
            "sha256": hashlib.sha256(self.model_dump_json().encode()).hexdigest(),
            "image": self.image.model_dump(include={"threshold", "scale", "promise"}),
            "pixel": self.pixel.model_dump(include={"threshold", "scale", "promise"}),
        }

    def check(
        self,
        detector: Provenance,
        class_name: str,
        *,
        batch_size: int,
        tiling: Tiling | None = None,
        memory: str | None = None,
    ) -> None:
        """Refuse scores of anything else than what was calibrated.

        Args:
            detector: What computes the scores.
            class_name: The noun of the object.
            batch_size: Images per pass.
            tiling: How images are cut, or None.
            memory: Hash of the memory of reference images, or None.

        Raises:
            InputError: The first difference, in one sentence.
        """
        other = self.model_copy(
            update={
                "detector": detector,
                "class_name": class_name,
                "batch_size": self.batch_size and batch_size,
                "tiling": tiling and TilingInfo(**asdict(tiling)),
                "memory": memory,
            }
        )
        for calibrated, used in zip(self._bound(), other._bound(), strict=True):
            if calibrated.key != used.key:
                raise InputError(
                    f"--threshold: the calibration holds for {calibrated.what} {calibrated.said}, not for "
                    f"{used.said}; run zsad calibrate with the same options as this command"
                )

    def _bound(self) -> Iterator[_Bound]:
        """Yield everything that scores depend on, the most telling first."""
        known, tiling = self.detector, self.tiling
        backbone = f"'{known.backbone.name}' ({known.backbone.sha256[:16]})"
        tiles = "none" if tiling is None else f"{tiling.side} px overlapping by {tiling.overlap:g}"
        yield _Bound("method", known.method, f"'{known.method}'")
        yield _Bound("the object", self.class_name, f"'{self.class_name}'")
        yield _Bound("backbone", known.backbone.sha256, backbone)
        yield _Bound("image size", known.image_size, str(known.image_size))
        yield _Bound("dtype", known.dtype, known.dtype)
        yield _Bound("recipe", known.recipe_hash, known.recipe_hash)
        yield _Bound("weights", known.weights.sha256, known.weights.sha256[:16])
        yield _Bound("memory", self.memory, self.memory or "none")
        yield _Bound("tiles", tiling, tiles)
        yield _Bound("batches of", self.batch_size, str(self.batch_size))


def read_calibration(path: Path) -> Calibration:
    """Read what ``zsad calibrate`` wrote.

    Raises:
        InputError: There is no such file, or it is no calibration.
    """
    try:
        return Calibration.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read '{path}': {error.strerror or error}") from error
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(map(str, problem["loc"]))
        what = f"{where}: {problem['msg']}" if where else problem["msg"]
        raise InputError(f"'{path}' is no calibration as 'zsad calibrate' writes it ({what})") from error


def check_place(path: Path) -> None:
    """Refuse to write a calibration over anything that is none, before time goes into computing it.

    Raises:
        InputError: The path is empty, a folder, or a file of something else.
        ZsadError: Its folder cannot be written to.
    """
    if not os.fspath(path) or path.is_dir():
        raise InputError(f"--out {path}: name a file, for example calibration.json")
    if path.exists():
        try:
            read_calibration(path)
        except InputError as error:
            raise InputError(f"--out {path}: {error}; name another file, or remove it") from error
    check_writable(path.parent)


def write_calibration(calibration: Calibration, path: Path) -> None:
    """Write a calibration, in the place of an older one.

    Raises:
        ZsadError: The file cannot be written.
    """
    write_json(path, calibration.plain())
