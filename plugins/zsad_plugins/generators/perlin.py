"""Perlin noise: gradients on a lattice, blended smoothly between its points (Perlin, SIGGRAPH 2002)."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.float32]


def gradients(random: np.random.Generator, rows: int, columns: int) -> Field:
    """Return unit vectors of any direction, (across, down), [rows, columns, 2]."""
    angles = random.uniform(0, 2 * math.pi, (rows, columns))
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1).astype(np.float32)


def noise_at(lattice: Field, across: Field, down: Field) -> Field:
    """Return the noise at places between lattice points.

    Args:
        lattice: Gradients [R, C, 2].
        across: Column coordinates of any shape, 0 <= across < C - 1.
        down: Row coordinates of that shape, 0 <= down < R - 1.

    Returns:
        Values of that shape, from -1 to 1; 0 at lattice points.
    """
    column, row = np.floor(across).astype(np.intp), np.floor(down).astype(np.intp)
    x, y = (across - column).astype(np.float32), (down - row).astype(np.float32)

    def slope(right: int, below: int) -> Field:
        vector = lattice[row + below, column + right]
        value: Field = vector[..., 0] * (x - right) + vector[..., 1] * (y - below)
        return value

    u, v = _fade(x), _fade(y)
    top = slope(0, 0) + u * (slope(1, 0) - slope(0, 0))
    bottom = slope(0, 1) + u * (slope(1, 1) - slope(0, 1))
    noise: Field = (top + v * (bottom - top)) * np.float32(math.sqrt(2))
    return noise


def perlin(
    random: np.random.Generator, shape: tuple[int, int], cells: tuple[int, int], degrees: float = 0.0
) -> Field:
    """Return noise over an image.

    Args:
        random: Source of randomness.
        shape: (H, W) of the image.
        cells: Cells from top to bottom, and from left to right.
        degrees: By how much the lattice is turned around the centre, with the image taken for a square.

    Returns:
        [H, W], from -1 to 1.
    """
    y = ((np.arange(shape[0]) + 0.5) / shape[0] - 0.5)[:, None]
    x = ((np.arange(shape[1]) + 0.5) / shape[1] - 0.5)[None, :]
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    down, across = (cosine * y - sine * x + 0.5) * cells[0], (cosine * x + sine * y + 0.5) * cells[1]
    # The corners of a turned image lie outside its lattice, which is therefore enlarged.
    down, across = down - math.floor(down.min()), across - math.floor(across.min())
    lattice = gradients(random, int(down.max()) + 2, int(across.max()) + 2)
    return noise_at(lattice, across.astype(np.float32), down.astype(np.float32))


def perlin_mask(
    random: np.random.Generator, shape: tuple[int, int], octaves: int, threshold: float
) -> npt.NDArray[np.bool_]:
    """Return where noise of random scale and direction exceeds a threshold.

    Scales are drawn for both axes separately from 2^0 to 2^octaves cells, at most one per pixel; the angle
    evenly from -90 to 90 degrees.

    Args:
        random: Source of randomness.
        shape: (H, W).
        octaves: Exponent of the finest scale.
        threshold: Level of the noise.

    Returns:
        [H, W]; often empty for few cells and high thresholds.
    """
    down, across = (min(2 ** int(random.integers(octaves + 1)), side) for side in shape)
    return perlin(random, shape, (down, across), float(random.uniform(-90, 90))) > threshold


def _fade(t: Field) -> Field:
    """Return a passage from 0 to 1 whose first and second derivatives vanish at both ends."""
    fade: Field = t * t * t * (t * (t * 6 - 15) + 10)
    return fade
