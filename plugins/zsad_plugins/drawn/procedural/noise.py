"""Random fields: smooth noise, noise of one wavelength and direction, cells, and random profiles."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from zsad_plugins.drawn.procedural.canvas import Canvas, Field


@lru_cache(maxsize=256)
def _spline(size: int, cells: int) -> tuple[npt.NDArray[np.intp], Field]:
    """Return the first knot of each pixel [size] and the weights of four knots [4, size, 1] of a B-spline."""
    t = (np.arange(size) + 0.5) * cells / size
    knot = np.floor(t).astype(np.intp)
    f = t - knot
    weights = np.stack(
        [
            (1 - f) ** 3 / 6,
            (3 * f**3 - 6 * f**2 + 4) / 6,
            (-3 * f**3 + 3 * f**2 + 3 * f + 1) / 6,
            f**3 / 6,
        ]
    )
    return knot, weights[..., None].astype(np.float32)


def _drawn_out(rows: Field, size: int) -> Field:
    """Return rows [K + 3, W] drawn out to [size, W]."""
    # Without a matrix product: its threads would only cost.
    knot, weights = _spline(size, rows.shape[0] - 3)
    result: Field = rows[knot] * weights[0]
    for offset in range(1, 4):
        result += rows[knot + offset] * weights[offset]
    return result


def _surface(grid: Field, size: int) -> Field:
    """Return the spline surface [size, size] over a grid of knots."""
    across = _drawn_out(np.ascontiguousarray(grid.T), size)
    return _drawn_out(np.ascontiguousarray(across.T), size)


def smooth(rng: np.random.Generator, size: int, cells: float, cells_down: float | None = None) -> Field:
    """Return smooth noise [size, size] of about unit variance, with ``cells`` bumps across the plane.

    Args:
        rng: Source of randomness.
        size: Side in pixels.
        cells: Cells from left to right (rounded, at least 1).
        cells_down: Cells from top to bottom; as many as across if not given.
    """
    across = max(1, min(round(cells), size))
    down = across if cells_down is None else max(1, min(round(cells_down), size))
    grid = rng.standard_normal((down + 3, across + 3), dtype=np.float32)
    # A cubic B-spline of white noise has a variance of about 0.23 (0.479 squared in each direction).
    return _surface(grid * np.float32(2.1), size)


def fractal(rng: np.random.Generator, size: int, cells: float, octaves: int = 4, gain: float = 0.5) -> Field:
    """Return a sum of smooth noises of doubling frequency, [size, size], about unit variance."""
    total = smooth(rng, size, cells)
    weight, power = 1.0, 1.0
    for octave in range(1, octaves):
        if cells * 2**octave > size / 2:
            break
        weight *= gain
        power += weight * weight
        total += smooth(rng, size, cells * 2**octave) * weight
    total *= 1.0 / math.sqrt(power)
    return total


@lru_cache(maxsize=8)
def _frequencies(size: int) -> tuple[Field, Field]:
    across = np.fft.rfftfreq(size, 1.0 / size).astype(np.float32)[None, :]
    down = np.fft.fftfreq(size, 1.0 / size).astype(np.float32)[:, None]
    return across, down


def banded(
    rng: np.random.Generator,
    size: int,
    waves: float,
    *,
    width: float = 0.5,
    angle: float = 0.0,
    stretch: float = 1.0,
) -> Field:
    """Return noise of about one wavelength, [size, size], zero mean and unit variance.

    Args:
        rng: Source of randomness.
        size: Side in pixels.
        waves: Waves across the plane; held below what the pixels can show.
        width: Spread of the wavelengths in octaves.
        angle: Direction along which features are drawn out, radians.
        stretch: How many times longer than wide features are.
    """
    across, down = _frequencies(size)
    cosine, sine = math.cos(angle), math.sin(angle)
    along = (across * cosine + down * sine) * stretch
    aside = down * cosine - across * sine
    square = along * along + aside * aside
    square[0, 0] = 1e-6
    waves = min(waves, size * 0.42)
    # 0.72 is 1 / (2 ln 2): the logarithm below is natural, of a squared frequency.
    octaves = np.log(square * (1.0 / waves**2)) * 0.7213
    amplitude = np.exp(octaves * octaves * (-0.5 / width**2))
    white = rng.standard_normal((size, size // 2 + 1, 2), dtype=np.float32)
    spectrum = white.view(np.complex64)[..., 0] * amplitude
    spectrum[0, 0] = 0
    field: Field = np.fft.irfft2(spectrum, s=(size, size)).astype(np.float32, copy=False)
    field *= 1.0 / (float(field.std()) + 1e-20)
    return field


def cells(
    rng: np.random.Generator, u: Field, v: Field, jitter: float = 0.9, period: int = 64
) -> tuple[Field, Field, npt.NDArray[np.int32]]:
    """Return Worley cells of side 1: distance to the nearest seed, to the second nearest, cell number.

    Args:
        rng: Source of randomness.
        u: First coordinate, float32 [H, W].
        v: Second coordinate.
        jitter: 0 for a square lattice of seeds, 1 for seeds anywhere in their square.
        period: The lattice repeats after so many squares.

    Returns:
        Nearest and second nearest distance [H, W]; number of the nearest cell, int32, below period squared.
    """
    seeds = ((rng.random((2, period * period), dtype=np.float32) - 0.5) * jitter + 0.5).astype(np.float32)
    column, row = np.floor(u).astype(np.int32), np.floor(v).astype(np.int32)
    fu, fv = u - column, v - row
    nearest = np.full(u.shape, 9.0, dtype=np.float32)
    second = nearest.copy()
    number = np.zeros(u.shape, dtype=np.int32)
    for dv in (-1, 0, 1):
        base = ((row + dv) % period) * period
        for du in (-1, 0, 1):
            index = base + (column + du) % period
            x, y = seeds[0][index] + (du - fu), seeds[1][index] + (dv - fv)
            square = x * x + y * y
            np.minimum(second, np.maximum(square, nearest), out=second)
            closer = square < nearest
            number[closer] = index[closer]
            np.minimum(nearest, square, out=nearest)
    return np.sqrt(nearest), np.sqrt(second), number


def profile(rng: np.random.Generator, t: Field, knots: int, low: float = -1.0, high: float = 1.0) -> Field:
    """Return a random piecewise linear function of ``t``: unit variance, ``knots`` knots, constant beyond.

    Args:
        rng: Source of randomness.
        t: Where it is wanted, any shape.
        knots: Number of knots.
        low: Place of the first knot.
        high: Place of the last knot.
    """
    values = rng.standard_normal(knots)
    return np.interp(t, np.linspace(low, high, knots), values).astype(np.float32)


def resized(field: Field, size: int) -> Field:
    """Return a small square field drawn out smoothly to [size, size]."""
    # The spline of K cells needs K + 3 knots: one before and two after, repeated from the edge.
    return _surface(np.pad(field, ((1, 2), (1, 2)), mode="edge"), size)


def turned(canvas: Canvas, angle: float) -> tuple[Field, Field]:
    """Return coordinates along and across a direction, [S, S] each."""
    cosine, sine = math.cos(angle), math.sin(angle)
    return canvas.x * cosine + canvas.y * sine, canvas.y * cosine - canvas.x * sine
