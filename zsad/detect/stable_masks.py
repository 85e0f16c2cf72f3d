"""Masks without a threshold: where the number of regions stays the same over a wide run of thresholds.

MEBin, main element binarisation, of AnomalyNCD (CVPR 2025; github.com/HUST-SLOW/AnomalyNCD, MIT), from a
description. There, scores are scaled by the least and the greatest of the maxima of all test maps of a class,
rounded to 8 bits. Here, the range is by default one that needs no other test image: from a floor, such as the
threshold of a calibration or :func:`floor_of`, to the map's own maximum; nothing is rounded. Regions are
eroded before they are counted and not in the mask, as there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from zsad.detect.regions import Map, Mask
from zsad.errors import InputError

STEPS = 64
"""Thresholds that are tried: 256 grey levels in steps of 4, as published."""
LEAST = 4
"""Thresholds in a row at which the number of regions has to stay the same, as published."""
EROSION = 6 / 256
"""Side of the square that regions are eroded with before they are counted, as a share of the short side: 6
pixels, as published, of 256."""


@dataclass(frozen=True)
class Range:
    """The values between which thresholds are tried.

    Attributes:
        low: Below it, nothing is anomalous.
        high: Above ``low`` where anything is.
    """

    low: float
    high: float

    @staticmethod
    def of_class(maps: Iterable[Map]) -> Range:
        """Return the published range: of the least and the greatest maximum of a class's test maps.

        It is transductive, and the map with the least maximum always ends without a region.

        Raises:
            InputError: There is no map.
        """
        peaks = [float(values.max()) for values in maps]
        if not peaks:
            raise InputError("the range of a class needs at least one map")
        return Range(min(peaks), max(peaks))


def floor_of(normal_maps: Iterable[Map]) -> float:
    """Return the greatest value of maps of declared normal images, below which nothing is anomalous.

    Raises:
        InputError: There is no map.
    """
    peaks = [float(values.max()) for values in normal_maps]
    if not peaks:
        raise InputError("the floor is the greatest value of normal maps; give at least one")
    return max(peaks)


def stable_mask(
    anomaly_map: Map,
    within: float | Range,
    *,
    steps: int = STEPS,
    least: int = LEAST,
    erosion: float = EROSION,
) -> Mask:
    """Return the mask at the low end of the longest run of thresholds with the same number of regions.

    Args:
        anomaly_map: [H, W].
        within: The floor of the range up to the map's own maximum, or a range that is given whole.
        steps: Thresholds that are tried, evenly spread over the range.
        least: Thresholds in a row that make a run.
        erosion: Side of the eroding square as a share of the short side; 0 counts regions as they are.

    Returns:
        [H, W], empty where there is no such run: the image is taken for normal.

    Raises:
        InputError: The map or a number is not finite, or a number is out of range.
    """
    if steps < 2 or not 1 <= least <= steps or not 0 <= erosion < 1:
        raise InputError(
            f"a stable mask takes 2 or more steps, of which 1 to all make a run, and an erosion from 0 to "
            f"below 1, not {steps}, {least} and {erosion:g}"
        )
    own = within if isinstance(within, Range) else Range(within, float(anomaly_map.max()))
    if not (np.isfinite(anomaly_map).all() and np.isfinite([own.low, own.high]).all()):
        raise InputError("a stable mask needs finite values and a finite range")
    empty = np.zeros(anomaly_map.shape, np.bool_)
    if own.high <= own.low or anomaly_map.max() == anomaly_map.min():
        return empty
    # From the top down; at the floor itself, what lies below the range would count too.
    thresholds = np.linspace(own.high, own.low, steps, endpoint=False)
    side = round(erosion * min(anomaly_map.shape))
    counts = [_regions(anomaly_map >= threshold, side) for threshold in thresholds]
    runs = [(count, len(list(run))) for count, run in groupby(counts)]
    ends = np.cumsum([length for _, length in runs])
    found = [
        (length, int(end))
        for (count, length), end in zip(runs, ends, strict=True)
        if count and length >= least
    ]
    if not found:
        return empty
    _, end = max(found, key=lambda run: run[0])
    mask: Mask = anomaly_map >= thresholds[end - 1]
    return mask


def _regions(mask: Mask, side: int) -> int:
    """Return the number of regions of a mask that is eroded by a square; what lies outside erodes nothing."""
    from scipy import ndimage

    if side > 1:
        mask = ndimage.binary_erosion(mask, np.ones((side, side), np.bool_), border_value=1)
    return int(ndimage.label(mask, structure=np.ones((3, 3), np.int8))[1])
