"""The drawing plane: coordinates of every pixel, windows of it, and the pose of an object on it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.floating[Any]]
"""A map of numbers, [S, S] or [S, S, 3]. Scenes hold float32; numpy's types cannot promise it everywhere."""


@dataclass(frozen=True, slots=True)
class Canvas:
    """A square plane from -1 to 1 (x to the right, y downwards), or a window of it.

    Attributes:
        size: Side of the whole plane in pixels.
        x: Horizontal coordinate of each pixel's centre, float32 [h, w].
        y: Vertical coordinate, float32 [h, w].
        rows: Where this window lies in the whole plane.
        columns: Likewise.
    """

    size: int
    x: Field
    y: Field
    rows: slice
    columns: slice

    @property
    def pixel(self) -> float:
        """Side of a pixel in plane units."""
        return 2.0 / self.size

    def window(self, x: float, y: float, radius: float) -> Canvas:
        """Return the part of the whole plane around (x, y); at least one pixel, so callers need no test."""
        left = _clamp(math.floor((x - radius + 1) / self.pixel) - 1, self.size - 1)
        right = _clamp(math.ceil((x + radius + 1) / self.pixel) + 1, self.size)
        top = _clamp(math.floor((y - radius + 1) / self.pixel) - 1, self.size - 1)
        bottom = _clamp(math.ceil((y + radius + 1) / self.pixel) + 1, self.size)
        rows, columns = slice(top, max(bottom, top + 1)), slice(left, max(right, left + 1))
        return Canvas(self.size, self.x[rows, columns], self.y[rows, columns], rows, columns)


@dataclass(frozen=True, slots=True)
class Pose:
    """Where an object lies: centre, turn in radians, and plane units for one object unit."""

    x: float = 0.0
    y: float = 0.0
    angle: float = 0.0
    scale: float = 1.0

    def apply(self, canvas: Canvas) -> tuple[Field, Field]:
        """Return the object's own coordinates (u, v) of every pixel of the canvas or window."""
        cosine, sine = math.cos(self.angle) / self.scale, math.sin(self.angle) / self.scale
        dx, dy = canvas.x - self.x, canvas.y - self.y
        return cosine * dx + sine * dy, cosine * dy - sine * dx

    def point(self, u: float, v: float) -> tuple[float, float]:
        """Return the plane coordinates of the object point (u, v)."""
        cosine, sine = math.cos(self.angle) * self.scale, math.sin(self.angle) * self.scale
        return self.x + cosine * u - sine * v, self.y + sine * u + cosine * v

    def child(self, u: float, v: float, angle: float = 0.0, scale: float = 1.0) -> Pose:
        """Return the pose of a part that lies at (u, v) of this object."""
        x, y = self.point(u, v)
        return Pose(x, y, self.angle + angle, self.scale * scale)


@lru_cache(maxsize=8)
def whole(size: int) -> Canvas:
    """Return the whole plane of the given side. Shared between calls, hence read-only."""
    axis = ((np.arange(size, dtype=np.float32) + np.float32(0.5)) * np.float32(2.0 / size)) - np.float32(1)
    x = np.ascontiguousarray(np.broadcast_to(axis[None, :], (size, size)))
    y = np.ascontiguousarray(np.broadcast_to(axis[:, None], (size, size)))
    x.flags.writeable = y.flags.writeable = False
    return Canvas(size, x, y, slice(0, size), slice(0, size))


def coverage(distance: Field, pixel: float) -> Field:
    """Return how much of each pixel lies inside a shape, 0..1, from its signed distance (negative inside)."""
    covered: Field = np.clip(0.5 - distance * (1.0 / pixel), 0, 1)
    return covered


def smoothstep(low: float, high: float, value: Field) -> Field:
    """Return 0 below ``low``, 1 above ``high`` and a smooth passage between; ``low`` may exceed ``high``."""
    t = np.clip((value - low) * (1.0 / (high - low)), 0, 1)
    step: Field = t * t * (3 - 2 * t)
    return step


def _clamp(value: int, highest: int) -> int:
    return max(0, min(value, highest))
