"""Options of INP-Former's parts."""

from __future__ import annotations

from pydantic import Field

from zsad.plugin.options import Options


class PrototypeOptions(Options):
    """Options of ``inp-former.prototypes``."""

    prototypes: int = Field(6, ge=1)
    """Prototypes of an image."""
    head_width: int = Field(64, ge=1)
    """Channels of an attention head; the tower's width is a multiple of it."""


class SmoothOptions(Options):
    """Options of ``inp-former.smooth``."""

    side: int = Field(256, ge=16)
    """Side, or short side, in pixels at which maps are smoothed, whatever the image size."""
    sigma: float = Field(4.0, gt=0, le=1000)
    """Standard deviation of the Gaussian in pixels of that size."""
    radius: int = Field(2, ge=1, le=64)
    """Where the Gaussian is cut off; outside the map there are zeros."""
    fraction: float = Field(0.01, gt=0, le=1)
    """Share of the pixels, the largest, whose mean is the image score; rounded down to a whole pixel."""
