"""Corruptions of pixel values; what is where stays there, and so do masks."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import gaussian_filter

Pixels = npt.NDArray[np.uint8]
WHITE = 255.0


def brightness(pixels: Pixels, shift: float, random: np.random.Generator) -> Pixels:
    """Return the image with ``shift``, a share of white, added to every value."""
    return _rounded(pixels + WHITE * shift)


def contrast(pixels: Pixels, factor: float, random: np.random.Generator) -> Pixels:
    """Return the image with every value's distance from the image's mean grey times ``factor``."""
    mean = pixels.mean()
    return _rounded(mean + factor * (pixels - mean))


def gaussian_noise(pixels: Pixels, deviation: float, random: np.random.Generator) -> Pixels:
    """Return the image with normal noise added; its deviation is a share of white."""
    return _rounded(pixels + random.normal(0.0, WHITE * deviation, pixels.shape))


def gaussian_blur(pixels: Pixels, sigma: float, random: np.random.Generator) -> Pixels:
    """Return the image blurred with a Gaussian of ``sigma`` pixels, its border mirrored."""
    return _rounded(gaussian_filter(pixels.astype(np.float64), (sigma, sigma, 0)))


def jpeg(pixels: Pixels, quality: float, random: np.random.Generator) -> Pixels:
    """Return what is left of the image in a JPEG of a quality, 1 to 95."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="JPEG", quality=int(quality))
    return np.array(Image.open(stream).convert("RGB"))


def _rounded(values: npt.NDArray[np.floating[Any]]) -> Pixels:
    rounded: Pixels = np.clip(np.rint(values), 0, WHITE).astype(np.uint8)
    return rounded


def generator(pixels: Pixels, key: str) -> np.random.Generator:
    """Return the random numbers of an image, which follow from its pixels and a key."""
    content = hashlib.sha256(f"{key} {pixels.shape}".encode())
    content.update(pixels.tobytes())
    return np.random.default_rng(int.from_bytes(content.digest()[:16], "little"))


CHANGES = {
    "brightness": brightness,
    "contrast": contrast,
    "gaussian-noise": gaussian_noise,
    "blur": gaussian_blur,
    "jpeg": jpeg,
}
"""The functions by the names of their kinds."""
