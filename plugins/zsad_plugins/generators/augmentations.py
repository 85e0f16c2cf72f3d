"""The ten changes of colour and angle that DRAEM's textures get (Zavrtanik et al., ICCV 2021)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image as Pillow
from PIL import ImageEnhance, ImageOps

from zsad.training.generators import Image
from zsad_plugins.generators.jitter import turned_hue

Augmentation = Callable[[np.random.Generator, Image], Image]


def augmented(random: np.random.Generator, image: Image, count: int) -> Image:
    """Return an image [H, W, 3] after so many of the changes, none of them twice."""
    for chosen in random.choice(len(AUGMENTATIONS), count, replace=False):
        image = AUGMENTATIONS[int(chosen)](random, image)
    return image


def gamma(random: np.random.Generator, image: Image) -> Image:
    """Raise every channel to a power of its own."""
    return _stored(255 * (image / 255.0) ** random.uniform(0.5, 2.0, 3))


def brightness(random: np.random.Generator, image: Image) -> Image:
    """Multiply and shift all values."""
    return _stored(image * random.uniform(0.8, 1.2) + random.uniform(-30, 30))


def sharpness(random: np.random.Generator, image: Image) -> Image:
    """Blur or sharpen."""
    return np.asarray(ImageEnhance.Sharpness(_picture(image)).enhance(float(random.uniform(0.1, 1.9))))


def hue(random: np.random.Generator, image: Image) -> Image:
    """Turn the hues and change the saturation."""
    turned = turned_hue(image, float(random.uniform(-0.2, 0.2)))
    return np.asarray(ImageEnhance.Color(_picture(turned)).enhance(float(random.uniform(0.5, 1.5))))


def solarized(random: np.random.Generator, image: Image) -> Image:
    """Turn bright values into their negatives, half of the time."""
    if random.random() < 0.5:
        return image
    return np.asarray(ImageOps.solarize(_picture(image), int(random.integers(32, 129))))


def posterized(random: np.random.Generator, image: Image) -> Image:
    """Keep the highest bits of each value."""
    return np.asarray(ImageOps.posterize(_picture(image), int(random.integers(1, 9))))


def inverted(random: np.random.Generator, image: Image) -> Image:
    """Turn all values into their negatives."""
    return 255 - image


def stretched(random: np.random.Generator, image: Image) -> Image:
    """Stretch every channel to the whole range."""
    return np.asarray(ImageOps.autocontrast(_picture(image)))


def equalized(random: np.random.Generator, image: Image) -> Image:
    """Make all values of a channel equally common."""
    return np.asarray(ImageOps.equalize(_picture(image)))


def turned(random: np.random.Generator, image: Image) -> Image:
    """Turn by up to 45 degrees; what comes in from outside is the mirrored image."""
    rows, columns = image.shape[:2]
    # Half a diagonal reaches beyond the image by at most half of its longer side.
    margin = (max(rows, columns) + 1) // 2
    padded = np.pad(image, ((margin, margin), (margin, margin), (0, 0)), mode="symmetric")
    found = _picture(padded).rotate(float(random.uniform(-45, 45)), Pillow.Resampling.BILINEAR)
    return np.asarray(found)[margin : margin + rows, margin : margin + columns]


AUGMENTATIONS: tuple[Augmentation, ...] = (
    gamma,
    brightness,
    sharpness,
    hue,
    solarized,
    posterized,
    inverted,
    stretched,
    equalized,
    turned,
)
"""All of them."""


def _picture(image: Image) -> Pillow.Image:
    return Pillow.fromarray(np.ascontiguousarray(image))


def _stored(values: np.ndarray) -> Image:
    stored: Image = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return stored
