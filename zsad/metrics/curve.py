"""The one sorting from which every metric is computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from zsad.metrics.checks import Floats
from zsad.metrics.errors import UndefinedMetricError

Unit = Literal["images", "pixels"]
Counts = npt.NDArray[np.int64]

_WHOLE = 1 << 62
"""The overlap of all regions together, in whole steps: integers add up alike in any order."""


@dataclass(frozen=True, eq=False)
class Curve:
    """How much passes each threshold, at the K distinct scores of anomalous items from high to low.

    No metric needs another threshold: between two of these, only normal items pass. Every array is a
    function of the set of scores, so the order in which they came cannot change a metric.

    Attributes:
        normal: [N] scores of normal items, ascending, float32 or float64.
        thresholds: [K] distinct scores of anomalous items, descending.
        hits: int64 [K], anomalous items at or above each threshold; the last is their number.
        false_alarms: int64 [K], normal items at or above each threshold.
        false_alarms_above: int64 [K], normal items strictly above it.
        overlap: float64 [K], mean over regions of the share of their pixels at or above each threshold;
            empty for images.
    """

    normal: Floats
    thresholds: Floats
    hits: Counts
    false_alarms: Counts
    false_alarms_above: Counts
    overlap: npt.NDArray[np.float64]

    @property
    def n_normal(self) -> int:
        """Number of normal items."""
        return self.normal.size

    @property
    def n_anomalous(self) -> int:
        """Number of anomalous items."""
        return int(self.hits[-1])


def build_curve(
    normal: Floats, anomalous: Floats, areas: Counts | None = None, regions: int = 0, unit: Unit = "images"
) -> Curve:
    """Sort scores and count at every threshold.

    Args:
        normal: [N] scores, of the same dtype as ``anomalous``. Sorted in place.
        anomalous: [P] scores.
        areas: int64 [P], the area of each anomalous pixel's region; None for images.
        regions: Number of regions.
        unit: What is counted, for the error.

    Raises:
        UndefinedMetricError: ``"no normal images"``, ``"no anomalous pixels"`` and the like.
    """
    for kind, scores in (("normal", normal), ("anomalous", anomalous)):
        if not scores.size:
            raise UndefinedMetricError(f"no {kind} {unit}")
    normal.sort()
    if areas is None:
        ascending = np.sort(anomalous)
    else:
        order = np.argsort(anomalous)
        ascending, areas = anomalous[order], areas[order]
    new = np.ones(ascending.size, np.bool_)
    new[1:] = ascending[1:] != ascending[:-1]
    first = np.flatnonzero(new)[::-1].astype(np.int64, copy=False)
    # Ascending needles let each search start where the last one ended.
    needles = ascending[first[::-1]]
    below = np.searchsorted(normal, needles, side="left")[::-1].astype(np.int64, copy=False)
    not_above = np.searchsorted(normal, needles, side="right")[::-1].astype(np.int64, copy=False)
    return Curve(
        normal=normal,
        thresholds=needles[::-1],
        hits=ascending.size - first,
        false_alarms=normal.size - below,
        false_alarms_above=normal.size - not_above,
        overlap=np.empty(0) if areas is None else _overlap(areas, first, regions),
    )


def _overlap(areas: Counts, first: Counts, regions: int) -> npt.NDArray[np.float64]:
    """Return the mean overlap with the pixels from each place of ``first`` on.

    A pixel counts 1 / (area * regions), in steps of 2**-62: the error is at most P * 2**-62.
    """
    steps = np.cumsum((_WHOLE // regions) // areas)
    whole = int(steps[-1])
    before = np.where(first > 0, steps[first - 1], 0)
    return (whole - before) / whole
