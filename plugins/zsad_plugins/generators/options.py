"""Options of the generators."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from zsad.plugin.options import Options


def _shares(bounds: tuple[float, float]) -> tuple[float, float]:
    if not 0 <= bounds[0] <= bounds[1] <= 1:
        raise ValueError("two shares of 0 to 1 are wanted, the smaller one first")
    return bounds


def _positive(bounds: tuple[float, float]) -> tuple[float, float]:
    if not 0 < bounds[0] <= bounds[1]:
        raise ValueError("two numbers above 0 are wanted, the smaller one first")
    return bounds


Shares = Annotated[tuple[float, float], AfterValidator(_shares)]
Range = Annotated[tuple[float, float], AfterValidator(_positive)]


class ImageOptions(Options):
    """What every generator of images has."""

    foreground: bool = False
    """Keep anomalies on the foreground: what differs from the median colour of the image's border."""


class CutPasteOptions(ImageOptions):
    """Options of ``cutpaste``."""

    area: Shares = (0.02, 0.15)
    """Smallest and largest share of the image that the rectangle covers."""
    aspect: float = Field(0.3, gt=0, le=1)
    """Smallest ratio of the rectangle's sides: width to height is drawn from (a, 1) or (1, 1 / a)."""
    jitter: float = Field(0.1, ge=0, le=0.5)
    """Largest change of brightness, contrast and saturation, and of the hue as a share of the circle."""


class ScarOptions(ImageOptions):
    """Options of ``scar``."""

    width: Range = (2, 16)
    """Smallest and largest width, in pixels of an image whose shorter side has 256."""
    length: Range = (10, 25)
    """Smallest and largest length, in pixels of an image whose shorter side has 256."""
    rotation: float = Field(45, ge=0, le=180)
    """Largest angle to the vertical, in degrees."""
    jitter: float = Field(0.1, ge=0, le=0.5)
    """Largest change of brightness, contrast and saturation, and of the hue as a share of the circle."""


class SeamlessPatchesOptions(ImageOptions):
    """Options of ``nsa``."""

    patches: int = Field(3, ge=1, le=16)
    """Largest number of patches; every number from 1 on is equally likely."""
    side: Shares = (0.03, 0.4)
    """Smallest and largest height and width of a patch, as shares of the image's."""
    resize: Range = (0.7, 1.3)
    """Smallest and largest factor by which a patch is resized."""
    tolerance: float = Field(1.0, ge=0, lt=255)
    """A pixel is anomalous if its channels have changed by more than this on average, of 255."""


class DraemOptions(ImageOptions):
    """Options of ``draem``."""

    textures: Path | None = None
    """Folder of images to take textures from, for example DTD; without one they are drawn."""
    opacity: Shares = (0.0, 0.8)
    """Smallest and largest share of the image itself in what is mixed."""
    threshold: float = Field(0.5, ge=0, lt=1)
    """Level of the Perlin noise above which the texture shows."""
    octaves: int = Field(5, ge=0, le=8)
    """Exponent of the finest noise: 2^0 to 2^octaves cells across each axis."""
    augmentations: int = Field(3, ge=0, le=10)
    """How many of ten changes of colour and angle a texture gets."""


class FeatureNoiseOptions(Options):
    """Options of ``feature-noise``."""

    sigma: float = Field(0.015, gt=0)
    """Standard deviation of the noise."""
    relative: bool = False
    """Take sigma in units of the root mean square of an image's tokens, which differs between towers."""
    threshold: float = Field(0.2, ge=0, lt=1)
    """Level of the Perlin noise above which a patch is changed."""
    octaves: int = Field(5, ge=0, le=8)
    """Exponent of the finest noise: 2^0 to 2^octaves cells across each axis, at most one per patch."""
    clean: float = Field(0.5, ge=0, lt=1)
    """Share of the images that stay normal."""
