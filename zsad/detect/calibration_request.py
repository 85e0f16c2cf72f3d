"""What is asked of a calibration, as data. No torch here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from zsad.data.nouns import noun_of
from zsad.detect.references import ReferenceRequest
from zsad.detect.request import DetectorRequest
from zsad.detect.threshold_rules import DEFAULT_RATE, RATED, RULES, Rule, exact
from zsad.detect.tiles import Tiling
from zsad.errors import InputError, nearest


@dataclass(frozen=True, kw_only=True)
class CalibrationRequest(DetectorRequest):
    """A detector, good parts, and a rule; defaults are those of ``zsad calibrate``.

    Attributes:
        normals: Images of good parts, or folders of them.
        rule: How thresholds come of what good parts score.
        false_alarm: The rate of false alarms, or None for the usual one; of the rules that take one.
        threshold: The image threshold of the rule ``fixed``, or None.
        pixel_threshold: Its pixel threshold, or None.
        class_name: What prompts call the object.
        batch_size: Images per pass.
        tiling: How images are cut, or None.
        references: What a few-shot method compares with, or None; among the good parts they calibrate
            nothing.

    Raises:
        InputError: An unknown rule, a number that it does not take or lacks, or an empty class name.
    """

    normals: tuple[Path, ...]
    rule: Rule = "conformal"
    false_alarm: float | None = None
    threshold: float | None = None
    pixel_threshold: float | None = None
    class_name: str = "object"
    batch_size: int = 8
    tiling: Tiling | None = None
    references: ReferenceRequest | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rule not in RULES:
            known = ", ".join(RULES)
            raise InputError(f"--rule {self.rule}: known are {known}{nearest(self.rule, RULES)}")
        given = {"--threshold": self.threshold, "--pixel-threshold": self.pixel_threshold}
        for option, value in {**given, "--false-alarm": self.false_alarm}.items():
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
                raise InputError(f"{option} is a number, not {value!r}")
        if self.false_alarm is not None and self.rule not in RATED:
            raise InputError(f"--false-alarm has no effect on --rule {self.rule}; leave it out")
        self.rate()
        for option, value in given.items():
            if self.rule == "fixed" and value is None:
                raise InputError(f"--rule fixed takes the thresholds as you give them: {option} is missing")
            if self.rule != "fixed" and value is not None:
                raise InputError(
                    f"{option} is what --rule {self.rule} computes; leave it out, or take --rule fixed"
                )
            if value is not None and not math.isfinite(value):
                raise InputError(f"{option} {value} is no number; give one, for example 0.5")
        if self.memory is not None and self.tiling is not None:
            raise InputError(
                "--memory holds whole images, and --tile cuts them; give --reference DIR instead"
            )
        if not noun_of(self.class_name):
            raise InputError("--class-name is empty; name the object, or leave the option out")
        if self.batch_size < 1:
            raise InputError(f"--batch-size {self.batch_size}: give 1 or more")

    def rate(self) -> Fraction | None:
        """Return the rate of false alarms as its digits say it, or None for a rule without one.

        Raises:
            InputError: It is not between 0 and 1.
        """
        if self.rule not in RATED:
            return None
        return exact(DEFAULT_RATE if self.false_alarm is None else self.false_alarm)
