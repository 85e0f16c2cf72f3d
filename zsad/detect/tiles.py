"""Large images as overlapping tiles, each scored as an image of its own, and their maps as one again."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zsad.errors import InputError

Box = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels, the latter two behind the last pixel."""


@dataclass(frozen=True)
class Tiling:
    """How an image is cut.

    Attributes:
        side: Side of the square tiles in pixels of the image; an image that is smaller is one tile.
        overlap: Least share of a side that neighbours have in common, from 0 up to, and without, 1.
    """

    side: int
    overlap: float = 0.25

    def __post_init__(self) -> None:
        if self.side < 1:
            raise InputError(f"tiles of {self.side} pixels hold nothing; give a side of 1 pixel or more")
        if not 0 <= self.overlap < 1:
            raise InputError(
                f"tiles cannot overlap by a share of {self.overlap}; give one from 0 to below 1, such as 0.25"
            )

    def boxes(self, height: int, width: int) -> list[Box]:
        """Return the tiles of an image, row by row, evenly spread from border to border."""
        tall, wide = min(self.side, height), min(self.side, width)
        return [
            (left, top, left + wide, top + tall)
            for top in self._starts(height)
            for left in self._starts(width)
        ]

    def _starts(self, length: int) -> list[int]:
        """Return the first pixels of the tiles along an axis."""
        rest = length - self.side
        if rest <= 0:
            return [0]
        steps = math.ceil(rest / max(1, math.floor(self.side * (1 - self.overlap))))
        return [round(number * rest / steps) for number in range(steps + 1)]

    def weights(self, length: int) -> list[npt.NDArray[np.float32]]:
        """Return the weight of every pixel of every tile along an axis, each [min(side, length)].

        It rises over the overlap as a half wave from almost 0 at a tile's edge, so that a map has neither a
        step nor a kink where a tile ends. Those of all tiles over a pixel add up to 1.
        """
        starts, side = self._starts(length), min(self.side, length)
        place = np.arange(side) + 0.5
        share = np.minimum(np.minimum(place, side - place) / max(1.0, self.overlap * self.side), 1.0)
        ramp = 0.5 - 0.5 * np.cos(np.pi * share)
        total = np.zeros(length)
        for start in starts:
            total[start : start + side] += ramp
        return [(ramp / total[start : start + side]).astype(np.float32) for start in starts]


class Mosaic:
    """The map of an image while the maps of its tiles come, in the order of :meth:`Tiling.boxes`."""

    def __init__(self, tiling: Tiling, height: int, width: int) -> None:
        self._map = np.zeros((height, width), np.float32)
        columns = tiling.weights(width)
        weights = [(down, across) for down in tiling.weights(height) for across in columns]
        self._left = list(zip(tiling.boxes(height, width), weights, strict=True))[::-1]

    @property
    def complete(self) -> bool:
        """Whether every tile is there."""
        return not self._left

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the next tile."""
        (left, top, right, bottom), _ = self._left[-1]
        return bottom - top, right - left

    def add(self, tile: npt.NDArray[np.float32]) -> None:
        """Lay the next tile's map in, [h, w] of its size."""
        (left, top, right, bottom), (down, across) = self._left.pop()
        self._map[top:bottom, left:right] += tile * down[:, None] * across

    def result(self) -> npt.NDArray[np.float32]:
        """Return the whole map, [H, W] float32."""
        assert self.complete, "every tile was laid in"
        return self._map
