"""Whether scores rank images by how severe their defects are: concordance index and Kendall's tau-b.

Both count pairs of images. MAD-Bench (arXiv 2411.14515) reports the two over all images, normal ones of level
0 included; with those, plain detection drives both, so there is a variant among anomalous images alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from zsad.metrics.checks import as_float32, check_batch
from zsad.metrics.errors import UndefinedMetricError

Float32 = npt.NDArray[np.float32]
Levels = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PairCounts:
    """Pairs of images, whose order does not count.

    Attributes:
        by_level: Pairs that differ in their level.
        by_score: Pairs that differ in their score.
        concordant: Pairs of which the one of the higher level has the higher score.
        tied: Pairs that differ in their level and not in their score.
    """

    by_level: int
    by_score: int
    concordant: int
    tied: int

    @property
    def discordant(self) -> int:
        """Pairs of which the one of the higher level has the lower score."""
        return self.by_level - self.concordant - self.tied


def count_pairs(scores: Float32, levels: Levels) -> PairCounts:
    """Count the pairs of images with scores [N] and levels [N]; exact."""
    ranks, repeats = np.unique(scores, return_inverse=True, return_counts=True)[1:]
    below = np.zeros(len(repeats), np.int64)  # images of lower levels, by the rank of their score
    by_level = concordant = tied = 0
    for level in np.unique(levels):
        own = ranks[levels == level]
        lower = np.cumsum(below) - below
        by_level += len(own) * int(below.sum())
        concordant += int(lower[own].sum())
        tied += int(below[own].sum())
        below += np.bincount(own, minlength=len(below))
    return PairCounts(by_level, math.comb(len(scores), 2) - _pairs(repeats), concordant, tied)


def concordance_index(pairs: PairCounts) -> float:
    """Return P(s_i > s_j | level_i > level_j), a tie of scores counting half: 0.5 for a constant score.

    With two levels it is the AUROC; with more, the mean of the AUROCs of all pairs of levels, each weighted
    by its pairs of images.
    """
    return (2 * pairs.concordant + pairs.tied) / (2 * pairs.by_level)


def kendall_tau_b(pairs: PairCounts) -> float:
    """Return (concordant - discordant) / sqrt(by_level * by_score), from -1 to 1.

    Scores without ties cannot reach 1 where levels have some: the most is sqrt(by_level / by_score).

    Raises:
        UndefinedMetricError: All scores are equal.
    """
    if not pairs.by_score:
        raise UndefinedMetricError("all scores are equal")
    return (pairs.concordant - pairs.discordant) / math.sqrt(pairs.by_level) / math.sqrt(pairs.by_score)


class SeverityState:
    """Image scores by level; 12 bytes an image."""

    level: Literal["severity"] = "severity"

    def __init__(self) -> None:
        self._scores: list[Float32] = []
        self._levels: list[Levels] = []

    def update(self, scores: npt.ArrayLike, levels: npt.ArrayLike, names: Sequence[str]) -> None:
        """Add a batch of images.

        Args:
            scores: [B], kept as float32.
            levels: [B] numbers from 0 on, 0 for normal images.
            names: Names or paths of the B images, for the error.

        Raises:
            ValueError: A level is below 0 or not finite.
            ZsadError: If a score is NaN or infinite: names the image, and nothing of the batch is added.
        """
        values, ordinal = as_float32(scores), np.asarray(levels, np.float64)
        check_batch(values, ordinal > 0, 1, names)
        if not (np.isfinite(ordinal) & (ordinal >= 0)).all():
            raise ValueError("levels have to be finite numbers from 0 on")
        self._scores.append(values.copy())
        self._levels.append(ordinal.copy())

    def merge(self, other: SeverityState) -> None:
        """Add everything that another state holds; the other one stays as it is."""
        self._scores += other._scores
        self._levels += other._levels

    def pairs(self, *, anomalous: bool = False) -> PairCounts:
        """Count the pairs of images, or of anomalous images alone.

        Raises:
            UndefinedMetricError: No two of them differ in their level.
        """
        scores = np.concatenate([np.empty(0, np.float32), *self._scores])
        levels = np.concatenate([np.empty(0), *self._levels])
        kept = levels > 0 if anomalous else np.ones(len(levels), np.bool_)
        found = count_pairs(scores[kept], levels[kept])
        if not found.by_level:
            raise UndefinedMetricError(
                "no two severity levels among the anomalous images" if anomalous else "no two severity levels"
            )
        return found


@dataclass(frozen=True)
class SeverityMetric:
    """A figure of pairs of images.

    Attributes:
        function: The figure.
        anomalous: Whether normal images are left out.
    """

    function: Callable[[PairCounts], float]
    anomalous: bool = False
    level: Literal["severity"] = "severity"

    def compute(self, state: SeverityState) -> float:
        """Return the figure.

        Raises:
            UndefinedMetricError: If it has none.
            TypeError: If the state is of another level.
        """
        if state.level != self.level:
            raise TypeError(f"a metric of level '{self.level}' cannot use a {type(state).__name__}")
        return self.function(state.pairs(anomalous=self.anomalous))


def c_index() -> SeverityMetric:
    """Build the concordance index over all images."""
    return SeverityMetric(concordance_index)


def c_index_anomalous() -> SeverityMetric:
    """Build the concordance index among anomalous images."""
    return SeverityMetric(concordance_index, anomalous=True)


def kendall() -> SeverityMetric:
    """Build Kendall's tau-b over all images."""
    return SeverityMetric(kendall_tau_b)


def kendall_anomalous() -> SeverityMetric:
    """Build Kendall's tau-b among anomalous images."""
    return SeverityMetric(kendall_tau_b, anomalous=True)


def _pairs(repeats: npt.NDArray[np.intp]) -> int:
    return int((repeats.astype(np.int64) * (repeats.astype(np.int64) - 1) // 2).sum())
