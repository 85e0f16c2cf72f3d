"""From a score to a verdict: a threshold, and how sure it is on either side of it. No torch here."""

from __future__ import annotations

import math
from dataclasses import dataclass

from zsad.detect.provenance import decision
from zsad.errors import InputError

_BELOW_HALF = math.nextafter(0.5, 0.0)


@dataclass(frozen=True)
class Verdict:
    """What a score means.

    Attributes:
        decision: ``normal`` or ``anomalous``.
        confidence: That it is anomalous, 0..1, or None where no scale is known. It is at least 0.5 exactly
            where the decision is ``anomalous``.
    """

    decision: str
    confidence: float | None


@dataclass(frozen=True)
class Level:
    """A threshold with the scale of the confidence, in the score's or the map's own values.

    Attributes:
        threshold: Value from which something counts as anomalous.
        scale: Distance from the threshold at which the confidence is 1 / (1 + 1/e), 0.73; None where there is
            no confidence.

    Raises:
        InputError: The threshold is no finite number, or the scale no finite number above 0.
    """

    threshold: float
    scale: float | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.threshold):
            raise InputError(f"a threshold of {self.threshold} is no number; give one, for example 0.5")
        if self.scale is not None and not (math.isfinite(self.scale) and self.scale > 0):
            raise InputError(f"the scale of a confidence has to be above 0, not {self.scale}")

    def reached(self, value: float) -> bool:
        """Return whether a value counts as anomalous."""
        return value >= self.threshold

    def confidence(self, value: float) -> float | None:
        """Return sigmoid((value - threshold) / scale), 0.5 exactly at the threshold.

        Rounding must not turn a verdict round: right below the threshold, where the sigmoid rounds to 0.5,
        it is the largest number below 0.5.
        """
        if self.scale is None:
            return None
        if self.reached(value):
            return max(0.5, _sigmoid((value - self.threshold) / self.scale))
        return min(_BELOW_HALF, _sigmoid((value - self.threshold) / self.scale))

    def verdict(self, value: float) -> Verdict:
        """Return what a value means."""
        return Verdict(decision(value, self.threshold), self.confidence(value))


def _sigmoid(value: float) -> float:
    if value >= 0:
        return 1 / (1 + math.exp(-value))
    grown = math.exp(value)  # for large values the other form would overflow
    return grown / (1 + grown)


def confidence_words(confidence: float) -> str:
    """Return a confidence with three decimals, cut and not rounded: 0.4999 is not 0.500."""
    return f"{math.floor(confidence * 1000) / 1000:.3f}"
