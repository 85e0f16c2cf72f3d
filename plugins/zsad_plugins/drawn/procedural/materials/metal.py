"""Brushed sheet, rolled steel, ground tile, cast and polished metal."""

from __future__ import annotations

import math

import numpy as np

from zsad_plugins.drawn.procedural import noise
from zsad_plugins.drawn.procedural.canvas import Canvas, Field
from zsad_plugins.drawn.procedural.chance import between, by_ratio, chance, pick, turn
from zsad_plugins.drawn.procedural.colours import colour, drawn, grey
from zsad_plugins.drawn.procedural.scene import Surface

_HUES = ((0.58, 0.66, 0.0, 0.12), (0.1, 0.14, 0.2, 0.6), (0.04, 0.07, 0.3, 0.6), (0.0, 1.0, 0.0, 0.05))


def metal_colour(rng: np.random.Generator) -> Field:
    """Return the colour of steel, brass, copper or aluminium."""
    low, high, faint, strong = _HUES[int(rng.choice(4, p=[0.45, 0.17, 0.08, 0.3]))]
    return drawn(rng, (low, high), (faint, strong), (0.3, 0.85))


def brushed(rng: np.random.Generator, canvas: Canvas, angle: float | None = None) -> Surface:
    """Fine parallel lines of changing brightness."""
    size = canvas.size
    angle = pick(rng, (0.0, math.pi / 2, turn(rng))) if angle is None else angle
    waves = by_ratio(rng, 40, 110)
    lines = noise.banded(rng, size, waves, width=0.8, angle=angle, stretch=by_ratio(rng, 10, 60))
    sheen = noise.smooth(rng, size, 2)
    tone = 1 + lines * between(rng, 0.02, 0.1) + sheen * between(rng, 0.0, 0.08)
    albedo = metal_colour(rng) * tone[..., None]
    return Surface(albedo, lines * (between(rng, 0.01, 0.08) / waves), between(rng, 0.15, 0.7), "metal")


def rolled(rng: np.random.Generator, canvas: Canvas) -> Surface:
    """Hot-rolled steel: grey, cloudy, faint streaks, little contrast."""
    size = canvas.size
    base = between(rng, 0.25, 0.7)
    angle = pick(rng, (0.0, math.pi / 2))
    clouds = noise.fractal(rng, size, between(rng, 2, 6), 5, between(rng, 0.5, 0.8))
    streaks = noise.banded(
        rng, size, by_ratio(rng, 8, 60), width=0.8, angle=angle, stretch=between(rng, 3, 30)
    )
    tone = 1 + clouds * between(rng, 0.03, 0.12) + streaks * between(rng, 0.01, 0.07)
    albedo = grey(base) * np.maximum(tone, 0.2)[..., None]
    return Surface(albedo.astype(np.float32), streaks * 0.0004, between(rng, 0.0, 0.2), "metal")


def ground(rng: np.random.Generator, canvas: Canvas) -> Surface:
    """Ground or sintered dark grey, as of magnetic tiles: faint grinding marks, shading towards the sides."""
    size = canvas.size
    angle = pick(rng, (0.0, math.pi / 2)) + between(rng, -0.1, 0.1)
    marks = noise.banded(
        rng, size, by_ratio(rng, 20, 100), width=0.9, angle=angle, stretch=between(rng, 4, 40)
    )
    mottle = noise.fractal(rng, size, by_ratio(rng, 4, 20), 4, 0.7)
    _, across = noise.turned(canvas, angle)
    barrel = 1 - across * across * between(rng, 0.0, 0.45)
    bands = noise.profile(rng, across, int(rng.integers(12, 60)), -1.5, 1.5) * between(rng, 0.0, 0.1)
    glare = noise.smooth(rng, size, 3, 2) * between(rng, 0.0, 0.2)
    streaks = noise.banded(rng, size, 60, width=1.0, angle=angle, stretch=by_ratio(rng, 20, 80))
    barrel = barrel * np.maximum(1 + bands + glare, 0.3) + np.maximum(streaks - 1, 0) * between(
        rng, 0.0, 0.12
    )
    tone = barrel * (1 + marks * between(rng, 0.01, 0.06) + mottle * between(rng, 0.01, 0.06))
    albedo = grey(between(rng, 0.25, 0.7)) * tone[..., None]
    return Surface(albedo.astype(np.float32), marks * 0.0003, between(rng, 0.0, 0.15), "metal")


def cast(rng: np.random.Generator, canvas: Canvas) -> Surface:
    """Cast, turned or polished metal of an object."""
    size = canvas.size
    grain = noise.banded(
        rng, size, by_ratio(rng, 20, 90), width=0.8, angle=turn(rng), stretch=by_ratio(rng, 1, 12)
    )
    tarnish = noise.fractal(rng, size, 4, 3)
    tone = 1 + grain * between(rng, 0.01, 0.07) + tarnish * between(rng, 0.0, 0.06)
    albedo = metal_colour(rng) * tone[..., None]
    return Surface(albedo, grain * between(rng, 0.0, 0.001), between(rng, 0.3, 0.95), "metal")


def rubber(rng: np.random.Generator, canvas: Canvas) -> Surface:
    """Black or coloured rubber and matt plastic."""
    base = (
        colour(between(rng, 0, 1), between(rng, 0, 0.2), between(rng, 0.05, 0.25))
        if chance(rng, 0.6)
        else drawn(rng, saturation=(0.2, 0.9), value=(0.3, 0.9))
    )
    speckle = noise.banded(rng, canvas.size, by_ratio(rng, 30, 100), width=0.8)
    albedo = base * (1 + speckle * between(rng, 0.01, 0.08))[..., None]
    return Surface(
        albedo.astype(np.float32), speckle * between(rng, 0, 0.001), between(rng, 0.02, 0.4), "rubber"
    )
