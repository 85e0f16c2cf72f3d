"""What a threshold leaves of an anomaly map: a mask, its regions, and where they lie in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from zsad.errors import InputError

Mask = npt.NDArray[np.bool_]
Map = npt.NDArray[np.floating[Any]]

SHOWN = 20
"""Regions that a table shows."""
_BAND = 1024
_ROWS = ("top", "", "bottom")
_COLUMNS = ("left", "", "right")


@dataclass(frozen=True)
class Region:
    """A connected part of a mask; pixels that touch at a corner are connected.

    Attributes:
        position: The ninth of the image that holds its centre, for example ``"top left"`` or ``"centre"``.
        area: Share of the image, 0..1.
        peak: Largest value of the map within it.
        centre: Row and column of the centre as shares of height and width.
    """

    position: str
    area: float
    peak: float
    centre: tuple[float, float]


def mask_at(anomaly_map: Map, threshold: float) -> Mask:
    """Return which pixels reach a threshold.

    Args:
        anomaly_map: [H, W].
        threshold: In the map's own values.

    Returns:
        [H, W].

    Raises:
        InputError: The threshold is not a finite number.
    """
    if not np.isfinite(threshold):
        raise InputError(f"the threshold has to be a number, not {threshold}")
    mask: Mask = anomaly_map >= threshold
    return mask


def bands(height: int) -> Iterator[slice]:
    """Yield the rows of an image in bands: what is computed in them takes little memory at any size."""
    for top in range(0, height, _BAND):
        yield slice(top, min(top + _BAND, height))


def find_regions(mask: Mask, anomaly_map: Map) -> list[Region]:
    """Return the regions of a mask, the highest peak first.

    Args:
        mask: [H, W].
        anomaly_map: [H, W].
    """
    labels, count = ndimage.label(mask, structure=np.ones((3, 3), np.int8))
    if not count:
        return []
    areas = np.zeros(count, np.int64)
    row_sums, column_sums, peaks = np.zeros(count), np.zeros(count), np.full(count, -np.inf)
    for band in bands(len(mask)):
        rows, columns = np.nonzero(mask[band])
        owners = labels[band][rows, columns] - 1
        areas += np.bincount(owners, minlength=count)
        row_sums += np.bincount(owners, rows + band.start, minlength=count)
        column_sums += np.bincount(owners, columns, minlength=count)
        np.maximum.at(peaks, owners, anomaly_map[band][rows, columns])
    row_shares = (row_sums / areas + 0.5) / mask.shape[0]
    column_shares = (column_sums / areas + 0.5) / mask.shape[1]
    found = [
        Region(position(row, column), area / mask.size, peak, (row, column))
        for area, peak, row, column in zip(
            areas.tolist(), peaks.tolist(), row_shares.tolist(), column_shares.tolist(), strict=True
        )
    ]
    return sorted(found, key=lambda region: (-region.peak, -region.area))


def position(row: float, column: float) -> str:
    """Name the ninth of an image that holds a point.

    Args:
        row: Share of the height, 0..1 from the top.
        column: Share of the width, 0..1 from the left.
    """
    words = _ROWS[min(int(3 * row), 2)], _COLUMNS[min(int(3 * column), 2)]
    return " ".join(word for word in words if word) or "centre"


def contours(mask: Mask) -> Mask:
    """Return the inner edge of a mask, two pixels wide.

    The border of the image is no edge, unless the mask is the whole image: without one, that would look as if
    it was empty.

    Args:
        mask: [H, W].
    """
    edge = np.empty_like(mask)
    if mask.all():
        edge[:] = True
        edge[2:-2, 2:-2] = False
        return edge
    for rows in bands(len(mask)):
        top = max(rows.start - 2, 0)  # two rows more on both sides are all that an edge depends on
        edge[rows] = _edge(mask[top : rows.stop + 2])[rows.start - top : rows.stop - top]
    return edge


def _edge(mask: Mask) -> Mask:
    height, width = mask.shape
    padded = np.pad(mask, 2, mode="edge")
    # A square is eroded along rows and columns in turn: ten cheap views instead of a general filter.
    across = np.logical_and.reduce([padded[:, shift : shift + width] for shift in range(5)])
    inside = np.logical_and.reduce([across[shift : shift + height] for shift in range(5)])
    edge: Mask = mask & ~inside
    return edge
