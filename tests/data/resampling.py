"""Pillow's resampling written out slowly, from what its libImaging/Resample.c and Geometry.c compute."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL
from PIL import Image

Array = npt.NDArray[Any]

_BITS = 22
"""Of the fraction of a weight for 8-bit values: 32, less 8 for the value and 2 for the overshoot."""

ACROSS_FIRST = int(PIL.__version__.split(".")[0]) < 13
"""Whether one call of the installed Pillow resizes along the rows first, whatever the shape."""


def as_published(picture: Image.Image, width: int, how: Image.Resampling) -> Image.Image:
    """Return what a published code's one call of resize is to be given, so that its order is the former one.

    Published numbers were made with a Pillow that goes along the rows first. A later one has only the columns
    left to resize.
    """
    return picture if ACROSS_FIRST else picture.resize((width, picture.height), how)


def resampled(pixels: Array, height: int, width: int, how: str) -> Array:
    """Return [H, W] or [H, W, 3] at another size: along the rows first, then along the columns."""
    return _across(_across(pixels, width, how).swapaxes(0, 1), height, how).swapaxes(0, 1)


def _across(pixels: Array, width: int, how: str) -> Array:
    if how == "nearest":
        return pixels[:, list(_nearest(pixels.shape[1], width))]
    add = _fixed_point if pixels.dtype == np.uint8 else _floating_point
    columns = [
        add(pixels[:, first : first + len(weights)], weights)
        for first, weights in _weights(pixels.shape[1], width, *_FILTERS[how])
    ]
    return np.stack(columns, axis=1)


def _nearest(source: int, target: int) -> Iterator[int]:
    step = source / target
    at = step * 0.5
    for _ in range(target):
        yield int(at)
        at += step


def _weights(
    source: int, target: int, curve: Callable[[float], float], reach: float
) -> Iterator[tuple[int, list[float]]]:
    """Yield, for every pixel of the target, the first pixel that it covers and the weights from there on."""
    scale = source / target
    stretch = max(scale, 1.0)
    for place in range(target):
        centre = (place + 0.5) * scale
        first = max(int(centre - reach * stretch + 0.5), 0)
        last = min(int(centre + reach * stretch + 0.5), source)
        found = [curve((at + first - centre + 0.5) * (1 / stretch)) for at in range(last - first)]
        total = 0.0
        for weight in found:
            total += weight
        yield first, [weight / total for weight in found]


def _fixed_point(pixels: Array, weights: list[float]) -> Array:
    total = np.full_like(pixels[:, 0], 1 << (_BITS - 1), dtype=np.int64)
    for place, weight in enumerate(weights):
        total += pixels[:, place].astype(np.int64) * int(weight * (1 << _BITS) + math.copysign(0.5, weight))
    return np.clip(total >> _BITS, 0, 255).astype(np.uint8)


def _floating_point(pixels: Array, weights: list[float]) -> Array:
    total = np.zeros_like(pixels[:, 0], dtype=np.float64)
    for place, weight in enumerate(weights):
        total += pixels[:, place].astype(np.float64) * weight
    return total.astype(np.float32)


def _box(x: float) -> float:
    return 1.0 if -0.5 < x <= 0.5 else 0.0


def _triangle(x: float) -> float:
    return max(1.0 - abs(x), 0.0)


def _cubic(x: float, a: float = -0.5) -> float:
    x = abs(x)
    if x < 1:
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * a if x < 2 else 0.0


_FILTERS: dict[str, tuple[Callable[[float], float], float]] = {
    "box": (_box, 0.5),
    "bilinear": (_triangle, 1.0),
    "bicubic": (_cubic, 2.0),
}
"""Weight by distance, and from which distance on it is zero."""
