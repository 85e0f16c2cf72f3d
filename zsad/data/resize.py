"""Resize images, masks and maps: the same pixels with every Pillow."""

from __future__ import annotations

from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

Filter = Literal["nearest", "box", "bilinear", "bicubic"]
"""How pixels are weighted; all but ``nearest`` average over what a pixel covers when they make smaller."""

Pixel = TypeVar("Pixel", np.uint8, np.float32)

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


def resize(pixels: npt.NDArray[Pixel], height: int, width: int, how: Filter) -> npt.NDArray[Pixel]:
    """Resize both sides: the horizontal pass first, then the vertical one.

    Values are rounded between the passes, so their order decides on single grey levels. In one call, Pillow
    before 13 goes horizontally first (some versions not where an image is over a hundred times as tall as
    wide); Pillow 13 turns that round for tall images. One pass alone is the same in all of them.

    Args:
        pixels: uint8 [H, W, 3] or [H, W], or float32 [H, W].
        height: Wanted, at least 1.
        width: Wanted, at least 1.
        how: The filter.

    Returns:
        [height, width, 3] or [height, width] of the same type, a writable copy.
    """
    picture, resampling = Image.fromarray(pixels), _FILTERS[how]
    across = picture.resize((width, picture.height), resampling)
    return np.array(across.resize((width, height), resampling))
