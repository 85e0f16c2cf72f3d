"""Where an image may be changed, and what it then is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from zsad.training.generators import Image, Mask

DIFFERS = 24
"""A pixel differs from the background if a channel is farther away than this, of 255."""

_BORDER_AGREES = 0.7
_LEAST = 0.01


def foreground_of(image: Image) -> Mask:
    """Return the object before an even background, [H, W].

    Foreground is what differs from the median colour of the border, without specks, its holes filled. Where
    less than 70 % of the border has that colour, the image is of a material from edge to edge, and where less
    than 1 % of the image differs, nothing stands out: all is foreground then.
    """
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]]).astype(np.int16)
    colour = np.median(border, axis=0)
    if (np.abs(border - colour).max(axis=-1) > DIFFERS).mean() > 1 - _BORDER_AGREES:
        return np.ones(image.shape[:2], np.bool_)
    differs = np.abs(image - colour).max(axis=-1) > DIFFERS
    steps = max(1, min(image.shape[:2]) // 128)
    found: Mask = ndimage.binary_fill_holes(ndimage.binary_opening(differs, iterations=steps))
    return found if found.mean() >= _LEAST else np.ones(image.shape[:2], np.bool_)


def region_of(image: Image, foreground: bool) -> Mask:
    """Return where an image may be changed: its foreground, or everywhere."""
    return foreground_of(image) if foreground else np.ones(image.shape[:2], np.bool_)


def corner(random: np.random.Generator, region: Mask, height: int, width: int) -> tuple[int, int]:
    """Return the top left corner of a rectangle inside the image, drawn evenly.

    Where the region is not the whole image, a place of the region is drawn for the rectangle's centre, which
    is then moved as little as keeps the rectangle in the image.

    Args:
        random: Source of randomness.
        region: [H, W], where the image may be changed.
        height: The rectangle's, at most H.
        width: The rectangle's, at most W.
    """
    rows, columns = region.shape
    if region.all():
        return int(random.integers(rows - height + 1)), int(random.integers(columns - width + 1))
    row, column = divmod(int(random.choice(np.flatnonzero(region))), columns)
    top = min(max(row - height // 2, 0), rows - height)
    left = min(max(column - width // 2, 0), columns - width)
    return top, left


def finished(image: Image, changed: npt.NDArray[np.uint8], mask: Mask) -> tuple[Image, Mask]:
    """Return the image, changed where the mask is true and nowhere else, and the mask.

    The mask comes out empty where not one pixel has another colour than before.
    """
    result = np.where(mask[..., None], changed, image)
    return result, mask if (result != image).any() else np.zeros_like(mask)
