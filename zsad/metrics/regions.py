"""Splits maps into normal pixels and anomalous ones, each of which knows the area of its region."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from zsad.metrics.checks import Bools, Floats


class SplitMaps(NamedTuple):
    """The pixels of some maps.

    Attributes:
        normal: Scores of normal pixels, one array an image.
        anomalous: Scores of anomalous pixels, one array an image.
        areas: int64, the number of pixels in the region of each anomalous pixel.
        regions: Number of regions.
    """

    normal: list[Floats]
    anomalous: list[Floats]
    areas: list[npt.NDArray[np.int64]]
    regions: int


def split_maps(maps: Floats, masks: Bools) -> SplitMaps:
    """Split maps by their masks; the arrays are copies.

    Args:
        maps: [B, H, W].
        masks: [B, H, W].
    """
    split = SplitMaps([], [], [], 0)
    regions = 0
    for scores, mask in zip(maps, masks, strict=True):
        if not mask.any():
            split.normal.append(scores.flatten())
            continue
        areas, count = region_areas(mask)
        split.normal.append(scores[~mask])
        split.anomalous.append(scores[mask])
        split.areas.append(areas)
        regions += count
    return split._replace(regions=regions)


def region_areas(mask: Bools) -> tuple[npt.NDArray[np.int64], int]:
    """Find the connected regions of a mask; pixels that touch at a corner are connected.

    Args:
        mask: [H, W] with at least one anomalous pixel.

    Returns:
        int64 [P], the area of the region of each anomalous pixel, row by row; and the number of regions.
    """
    from scipy import ndimage  # slow to import, and images without a mask never need it

    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    # Labelling costs far more per pixel than anything else here, and defects are small.
    box = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    labels, count = ndimage.label(box, structure=np.ones((3, 3), np.int8))
    inside = labels[box]
    areas = np.bincount(inside, minlength=count + 1).astype(np.int64, copy=False)
    return areas[inside], int(count)
