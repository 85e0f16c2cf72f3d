"""AUPRO the slow and plain way: every threshold, every region, every pixel."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def regions(mask: Array) -> list[list[tuple[int, int]]]:
    """Return the pixels of each 8-connected region by flood fill."""
    left = {(int(row), int(column)) for row, column in np.argwhere(mask)}
    found = []
    while left:
        region, border = [], [left.pop()]
        while border:
            row, column = border.pop()
            region.append((row, column))
            around = {(row + down, column + right) for down in (-1, 0, 1) for right in (-1, 0, 1)} & left
            left -= around
            border += around
        found.append(region)
    return found


def points(maps: Array, masks: Array, thresholds: Array, strict: bool) -> tuple[Array, Array]:
    """Return false-positive rate and mean region overlap at each threshold."""
    rates, overlaps = [], []
    found = [regions(mask) for mask in masks]
    for threshold in thresholds:
        passed = maps > threshold if strict else maps >= threshold
        rates.append((passed & ~masks).sum() / (~masks).sum())
        shares = [
            np.mean([passed[index][place] for place in region])
            for index, image in enumerate(found)
            for region in image
        ]
        overlaps.append(np.mean(shares))
    return np.array(rates), np.array(overlaps)


def aupro(maps: Array, masks: Array, limit: float) -> float:
    """Return the area up to the limit, integrated piece by piece."""
    rates, overlaps = points(maps, masks, np.unique(maps)[::-1], strict=False)
    area, rate, overlap = 0.0, 0.0, 0.0
    for next_rate, next_overlap in zip(rates, overlaps, strict=True):
        if next_rate > limit:
            end = overlap + (next_overlap - overlap) * (limit - rate) / (next_rate - rate)
            return float((area + (limit - rate) * (overlap + end) / 2) / limit)
        area += (next_rate - rate) * (overlap + next_overlap) / 2
        rate, overlap = next_rate, next_overlap
    return float(area / limit)


def aupro_legacy200(maps: Array, masks: Array) -> float | None:
    """Return what the papers' routine returns, None where it fails or returns NaN."""
    low, high = maps.min(), maps.max()
    step = (high - low) / maps.dtype.type(200)
    if step == 0:
        return None
    rates, overlaps = points(maps, masks, np.arange(low, high, step, dtype=maps.dtype), strict=True)
    kept = rates < 0.3
    rates, overlaps = rates[kept], overlaps[kept]
    if rates.size == 0 or rates.max() == rates.min():
        return None
    rates = (rates - rates.min()) / (rates.max() - rates.min())
    return float(-np.sum(np.diff(rates) * (overlaps[1:] + overlaps[:-1]) / 2))
