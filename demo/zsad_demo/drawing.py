"""The pictures of the demo, all on scales that never depend on the single image."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from zsad.data.pictures import colours, overlay
from zsad.data.resize import resize
from zsad.detect.regions import Map, Mask, bands
from zsad.errors import InputError
from zsad.recipe.recipes import Display
from zsad_demo.contours import contours

Picture = npt.NDArray[np.uint8]
Shares = npt.NDArray[np.float32]

VIEW_SIDE = 768
"""Longer side of what the page shows, in pixels; files are made at the image's own size."""
THUMBNAIL_SIDE = 320
QUALITY = 85
CONTOUR = (0, 255, 255)
_LOWER, _EQUAL, _HIGHER = (33, 102, 172), (247, 247, 247), (178, 24, 43)
"""Ends and middle of ColorBrewer's RdBu, which tells its halves apart to colour-blind readers too."""


def fitted(image: Picture, side: int) -> Picture:
    """Return an image whose longer side has at most ``side`` pixels.

    Args:
        image: [H, W, 3].
        side: In pixels.
    """
    height, width = image.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return image
    return resize(image, max(1, round(height * scale)), max(1, round(width * scale)), "box")


def map_picture(anomaly_map: Map, display: Display) -> Picture:
    """Colour a map on its method's fixed range.

    Args:
        anomaly_map: [H, W].
        display: The range.

    Returns:
        [H, W, 3].
    """
    return np.rint(colours(scaled(anomaly_map, display))).astype(np.uint8)


def mask_picture(mask: Mask) -> Picture:
    """Return a mask as [H, W] with 0 and 255."""
    return mask.astype(np.uint8) * np.uint8(255)


def overlay_picture(image: Picture, anomaly_map: Map, display: Display) -> Picture:
    """Lay a map over its image on its method's fixed range.

    Args:
        image: [H, W, 3].
        anomaly_map: [H, W].
        display: The range.

    Returns:
        [H, W, 3].
    """
    drawn = np.empty_like(image)
    for rows in bands(len(image)):
        drawn[rows] = overlay(image[rows], anomaly_map[rows], display.low, display.high)
    return drawn


def encoded(picture: Picture) -> bytes:
    """Return a picture [h, w, 3] as JPEG."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, format="JPEG", quality=QUALITY)
    return stream.getvalue()


def decoded(picture: bytes) -> Picture:
    """Return the pixels of what :func:`encoded` returned, [h, w, 3]."""
    return np.array(Image.open(io.BytesIO(picture), formats=("JPEG",)))


def with_contours(picture: Picture, mask: Mask) -> Picture:
    """Return a copy of a picture with the contours of a mask.

    Args:
        picture: [H, W, 3].
        mask: [H, W].
    """
    drawn = picture.copy()
    drawn[contours(mask)] = CONTOUR
    return drawn


def scaled(anomaly_map: Map, display: Display) -> Shares:
    """Return a map as shares of its method's fixed range, cut to 0..1."""
    share = (anomaly_map.astype(np.float32) - display.low) / (display.high - display.low)
    cut: Shares = np.clip(share, 0.0, 1.0).astype(np.float32)
    return cut


def difference(first: Map, second: Map, first_display: Display, second_display: Display) -> Shares:
    """Return how much higher the first map is, each as a share of its own fixed range.

    Args:
        first: [H, W].
        second: [H, W].
        first_display: Range of the first.
        second_display: Range of the second.

    Returns:
        [H, W] in -1..1.

    Raises:
        InputError: The maps differ in size.
    """
    if first.shape != second.shape:
        raise InputError(f"the maps differ in size: {list(first.shape)} and {list(second.shape)}")
    return scaled(first, first_display) - scaled(second, second_display)


def difference_picture(values: npt.NDArray[np.floating[Any]]) -> Picture:
    """Colour a difference on the scale -1..1: blue where it is negative, red where it is positive.

    Args:
        values: [H, W].

    Returns:
        [H, W, 3].
    """
    strength = np.clip(np.abs(values), 0.0, 1.0).astype(np.float32)[..., None]
    lower, equal, higher = (np.asarray(colour, np.float32) for colour in (_LOWER, _EQUAL, _HIGHER))
    end = np.where(values[..., None] < 0, lower, higher)
    mixed: Picture = np.rint(equal * (1 - strength) + end * strength).astype(np.uint8)
    return mixed


def css_gradient() -> str:
    """Return the colours of maps as a CSS gradient from left to right."""
    steps = ", ".join(f"rgb({r:.0f} {g:.0f} {b:.0f})" for r, g, b in colours(np.linspace(0, 1, 17)))
    return f"linear-gradient(to right, {steps})"


def css_difference_gradient() -> str:
    """Return the colours of differences as a CSS gradient from left to right."""
    steps = ", ".join(f"rgb({r} {g} {b})" for r, g, b in (_LOWER, _EQUAL, _HIGHER))
    return f"linear-gradient(to right, {steps})"
