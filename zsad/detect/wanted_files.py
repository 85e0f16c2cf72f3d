"""Which files are written beside an image's score; no torch here."""

from __future__ import annotations

import math
from dataclasses import dataclass

from zsad.errors import InputError

KINDS = ("overlay", "map", "mask")
"""Names of the files in an answer's plain data."""


@dataclass(frozen=True)
class WantedFiles:
    """What is written beside the score.

    Attributes:
        overlays: The picture with the map on it.
        maps: The map at native size, float32 ``.npy``.
        pixel_threshold: Value of the map from which a pixel belongs to a region, or None for no regions.
        masks: Those pixels as a PNG of 0 and 255 at native size.
    """

    overlays: bool = True
    maps: bool = False
    pixel_threshold: float | None = None
    masks: bool = False

    def __post_init__(self) -> None:
        if self.pixel_threshold is not None and not math.isfinite(self.pixel_threshold):
            raise InputError(
                f"the pixel threshold {self.pixel_threshold} is no value of a map; give a number, "
                "for example 0.5"
            )
        if self.masks and self.pixel_threshold is None:
            raise InputError("a mask is where the map reaches a value: give that value, the pixel threshold")
