"""Which files are written beside an image's score; no torch here."""

from __future__ import annotations

from dataclasses import dataclass

from zsad.detect.verdicts import Level
from zsad.errors import InputError

KINDS = ("overlay", "map", "mask")
"""Names of the files in an answer's plain data."""


@dataclass(frozen=True)
class WantedFiles:
    """What is written beside the score.

    Attributes:
        overlays: The picture with the map on it.
        maps: The map at native size, float32 ``.npy``.
        pixel: The threshold of the map from which a pixel belongs to a region, or None for no regions. With a
            scale, it is what the picture shows.
        masks: Those pixels as a PNG of 0 and 255 at native size.
    """

    overlays: bool = True
    maps: bool = False
    pixel: Level | None = None
    masks: bool = False

    def __post_init__(self) -> None:
        if self.masks and self.pixel is None:
            raise InputError("a mask is where the map reaches a value: give that value, the pixel threshold")
