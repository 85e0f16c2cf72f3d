"""What a threshold leaves of an anomaly map: a mask, its regions, and where they lie in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from zsad.errors import InputError

Mask = npt.NDArray[np.bool_]
Map = npt.NDArray[np.floating[Any]]

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
        box: Left, top, right and bottom in pixels, the latter two behind the last pixel.
    """

    position: str
    area: float
    peak: float
    centre: tuple[float, float]
    box: tuple[int, int, int, int]

    def plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "position": self.position,
            "box": list(self.box),
            "area_share": self.area,
            "peak": self.peak,
            "centre": list(self.centre),
        }


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
    # A Python float would be rounded to the map's precision, and a pixel right below it would count.
    mask: Mask = anomaly_map >= np.float64(threshold)
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
    from scipy import ndimage  # takes a while to import, and few runs look for regions

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
    boxes = [(x.start, y.start, x.stop, y.stop) for y, x in ndimage.find_objects(labels)]
    found = [
        Region(position(row, column), area / mask.size, peak, (row, column), box)
        for area, peak, row, column, box in zip(
            areas.tolist(), peaks.tolist(), row_shares.tolist(), column_shares.tolist(), boxes, strict=True
        )
    ]
    return sorted(found, key=lambda region: (-region.peak, -region.area))


def position(row: float, column: float) -> str:
    """Name the ninth of an image that holds a point; one on a boundary is in the ninth right of or below it.

    Args:
        row: Share of the height, 0..1 from the top.
        column: Share of the width, 0..1 from the left.
    """
    words = _ROWS[min(int(3 * row), 2)], _COLUMNS[min(int(3 * column), 2)]
    return " ".join(word for word in words if word) or "centre"
