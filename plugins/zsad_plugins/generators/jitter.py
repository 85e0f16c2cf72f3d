"""Small random changes of colour."""

from __future__ import annotations

import numpy as np
from PIL import Image as Pillow
from PIL import ImageEnhance

from zsad.training.generators import Image


def jittered(random: np.random.Generator, image: Image, most: float) -> Image:
    """Return an image with brightness, contrast, saturation and hue changed a little.

    Args:
        random: Source of randomness.
        image: RGB [H, W, 3].
        most: Largest change: factors are drawn from 1 - most to 1 + most, the turn of the hue from -most to
            most of the circle.
    """
    picture = Pillow.fromarray(image)
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        picture = enhance(picture).enhance(float(random.uniform(1 - most, 1 + most)))
    return turned_hue(np.asarray(picture), float(random.uniform(-most, most)))


def turned_hue(image: Image, turn: float) -> Image:
    """Return an image with its hues turned by a share of the circle; RGB [H, W, 3]."""
    steps = round(turn * 256)
    if not steps:
        return image
    hue, *rest = Pillow.fromarray(image).convert("HSV").split()
    shifted = Pillow.fromarray(((np.asarray(hue).astype(np.int16) + steps) % 256).astype(np.uint8))
    return np.asarray(Pillow.merge("HSV", (shifted, *rest)).convert("RGB"))
