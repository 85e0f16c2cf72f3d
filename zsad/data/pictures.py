"""Pictures of anomaly maps, on a colour scale that the caller fixes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from zsad.errors import InputError

# 17 equidistant colours of Matplotlib's "inferno" (CC0, see NOTICE): lightness grows evenly with the value.
_INFERNO = (
    (0, 0, 4),
    (11, 7, 36),
    (33, 12, 74),
    (61, 9, 101),
    (87, 16, 110),
    (113, 25, 110),
    (138, 34, 106),
    (163, 44, 97),
    (188, 55, 84),
    (210, 70, 68),
    (228, 90, 49),
    (241, 115, 29),
    (249, 142, 9),
    (252, 172, 17),
    (249, 203, 53),
    (242, 234, 105),
    (252, 255, 164),
)
_STRONGEST = 0.75
_NARROWEST, _LETTERS = 400, 13
"""Pixels: the least width of a picture with a text under it, and the least height of its letters."""
_PAPER, _INK = (240, 240, 240), (20, 20, 20)


def colours(values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
    """Colour values on the scale 0..1; values outside take the colour of the nearer end.

    Args:
        values: [...], without NaN.

    Returns:
        [..., 3] RGB in 0..255.
    """
    table = np.asarray(_INFERNO, dtype=np.float32)
    position = np.clip(values, 0.0, 1.0).astype(np.float32) * np.float32(len(table) - 1)
    left = np.minimum(position.astype(np.intp), len(table) - 2)
    part = (position - left)[..., None].astype(np.float32)
    mixed: npt.NDArray[np.float32] = table[left] * (1 - part) + table[left + 1] * part
    return mixed


def overlay(
    image: npt.NDArray[np.uint8], anomaly_map: npt.NDArray[np.floating[Any]], low: float, high: float
) -> npt.NDArray[np.uint8]:
    """Lay an anomaly map over its image.

    The scale is the caller's and never the image's own, so that pictures of one run can be compared. At
    ``low`` and below the image shows as it is; the colour gets stronger up to ``high``.

    Args:
        image: [H, W, 3].
        anomaly_map: [H, W]; infinite values count as beyond the scale.
        low: Value of the lowest colour.
        high: Value of the highest colour.

    Returns:
        [H, W, 3].

    Raises:
        InputError: If the sizes differ, the map has NaN, or ``low`` and ``high`` are no finite rising scale.
    """
    _check(image, anomaly_map)
    if not (math.isfinite(high - low) and low < high):
        raise InputError(f"the colour scale must go from a lower to a higher value, not from {low} to {high}")
    return _mixed(image, np.clip((anomaly_map.astype(np.float64) - low) / (high - low), 0.0, 1.0))


def overlay_above(
    image: npt.NDArray[np.uint8], anomaly_map: npt.NDArray[np.floating[Any]], threshold: float, scale: float
) -> npt.NDArray[np.uint8]:
    """Lay over an image what of its map reaches a threshold; everything else shows as it is.

    The colour is that of sigmoid((value - threshold) / scale), one half at the threshold. It depends on
    nothing else of the image, so that a good part stays as it is.

    Args:
        image: [H, W, 3].
        anomaly_map: [H, W]; infinite values count as beyond the scale.
        threshold: Value from which a pixel is coloured.
        scale: Above 0.

    Returns:
        [H, W, 3].

    Raises:
        InputError: If the sizes differ, the map has NaN, or the scale is no finite number above 0.
    """
    from scipy.special import expit  # takes a while to import, and few pictures have a threshold

    _check(image, anomaly_map)
    if not (math.isfinite(threshold) and math.isfinite(scale) and scale > 0):
        raise InputError(f"no colour scale has the threshold {threshold} and the scale {scale}")
    values = anomaly_map.astype(np.float64)
    return _mixed(image, np.where(values >= threshold, expit((values - threshold) / scale), 0.0))


def _check(image: npt.NDArray[np.uint8], anomaly_map: npt.NDArray[np.floating[Any]]) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise InputError(f"an RGB image must be uint8 [H, W, 3], not {image.dtype} {list(image.shape)}")
    if anomaly_map.shape != image.shape[:2]:
        raise InputError(
            f"the anomaly map {list(anomaly_map.shape)} and the image {list(image.shape[:2])} differ in size"
        )
    if np.isnan(anomaly_map).any():
        raise InputError("the anomaly map has NaN values")


def _mixed(image: npt.NDArray[np.uint8], values: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """Mix colours into an image, by values [H, W] in 0..1 that are the colours and their strength."""
    value = values.astype(np.float32)
    weight = (_STRONGEST * value)[..., None]
    mixed = image.astype(np.float32) * (1 - weight) + colours(value) * weight
    blended: npt.NDArray[np.uint8] = np.rint(mixed).astype(np.uint8)
    return blended


def captioned(image: npt.NDArray[np.uint8], text: str) -> npt.NDArray[np.uint8]:
    """Write a text under an image.

    Args:
        image: [H, W, 3]; one that is narrow gets a grey margin on its right.
        text: Broken between words to the width of the picture.

    Returns:
        [H + h, max(W, 400), 3].
    """
    from PIL import Image, ImageDraw, ImageFont

    height, width = image.shape[:2]
    whole = max(width, _NARROWEST)
    size = max(_LETTERS, whole // 50)
    font = ImageFont.load_default(size)
    lines = _broken(text, lambda words: font.getlength(words) <= whole - size)
    line = round(1.4 * size)
    canvas = Image.new("RGB", (whole, height + line * len(lines) + size), _PAPER)
    canvas.paste(Image.fromarray(image), (0, 0))
    draw = ImageDraw.Draw(canvas)
    for number, words in enumerate(lines):
        draw.text((size // 2, height + size // 2 + number * line), words, fill=_INK, font=font)
    written: npt.NDArray[np.uint8] = np.asarray(canvas)
    return written


def _broken(text: str, fits: Callable[[str], bool]) -> list[str]:
    """Break a text between words into lines that fit; a word that is too long has a line of its own."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and fits(longer):
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
