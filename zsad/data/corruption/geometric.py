"""Corruptions that move things; masks are moved along, by the same positions.

What a movement brings in from outside is the image mirrored at its border, and so is its mask: a defect that
is mirrored into view is marked there, too.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Places = npt.NDArray[np.float64]


def rotate(height: int, width: int, degrees: float) -> tuple[Places, Places]:
    """Return where each pixel comes from when the image turns about its centre, counter-clockwise."""
    angle = math.radians(degrees)
    y, x = _from_centre(height, width)
    return _to_places(
        math.cos(angle) * y + math.sin(angle) * x, math.cos(angle) * x - math.sin(angle) * y, height, width
    )


def translate(height: int, width: int, share: float) -> tuple[Places, Places]:
    """Return where each pixel comes from when the image moves by whole pixels to the right and down."""
    y, x = np.indices((height, width), np.float64)
    return y - round(share * height), x - round(share * width)


def scale(height: int, width: int, factor: float) -> tuple[Places, Places]:
    """Return where each pixel comes from when the image grows about its centre by ``factor``."""
    y, x = _from_centre(height, width)
    return _to_places(y / factor, x / factor, height, width)


def moved_image(pixels: Pixels, places: tuple[Places, Places]) -> Pixels:
    """Return an image [H, W, 3] read at places (rows, columns), bilinear."""
    height, width = pixels.shape[:2]
    rows, columns = places
    top, left = np.floor(rows), np.floor(columns)
    down, right = (rows - top)[..., None], (columns - left)[..., None]
    upper, lower = (_mirrored(top + step, height) for step in (0, 1))
    near, far = (_mirrored(left + step, width) for step in (0, 1))
    above = pixels[upper, near] * (1 - right) + pixels[upper, far] * right
    below = pixels[lower, near] * (1 - right) + pixels[lower, far] * right
    return np.rint(above * (1 - down) + below * down).astype(np.uint8)


def moved_mask(mask: Mask, places: tuple[Places, Places]) -> Mask:
    """Return a mask [H, W] read at places (rows, columns): the nearest pixel, halves going down and right."""
    rows, columns = (np.floor(axis + 0.5) for axis in places)
    return mask[_mirrored(rows, mask.shape[0]), _mirrored(columns, mask.shape[1])]


def _from_centre(height: int, width: int) -> tuple[Places, Places]:
    y, x = np.indices((height, width), np.float64)
    return y - (height - 1) / 2, x - (width - 1) / 2


def _to_places(y: Places, x: Places, height: int, width: int) -> tuple[Places, Places]:
    # To 1e-9 of a pixel: a quarter turn reads pixels and not what lies a rounding error beside them.
    return np.round(y + (height - 1) / 2, 9), np.round(x + (width - 1) / 2, 9)


def _mirrored(places: Places, size: int) -> npt.NDArray[np.intp]:
    """Return whole places within 0 ... size - 1; outside, the image is mirrored with its edge repeated."""
    position = places.astype(np.intp) % (2 * size)
    return np.where(position < size, position, 2 * size - 1 - position)


MOVEMENTS = {"rotate": rotate, "translate": translate, "scale": scale}
"""The functions by the names of their kinds."""
