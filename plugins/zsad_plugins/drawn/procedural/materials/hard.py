"""Wood, stone, terrazzo, concrete, asphalt."""

from __future__ import annotations

import math

import numpy as np

from zsad_plugins.drawn.procedural import noise
from zsad_plugins.drawn.procedural.canvas import Canvas, Field, smoothstep
from zsad_plugins.drawn.procedural.chance import between, by_ratio, chance, pick, turn, whole_number
from zsad_plugins.drawn.procedural.colours import colour, drawn, grey, mixed, near, plain
from zsad_plugins.drawn.procedural.scene import Surface


def wood(rng: np.random.Generator, canvas: Canvas, angle: float | None = None) -> Surface:
    """Year rings cut lengthwise, pores along the fibre, and now and then a knot."""
    size = canvas.size
    angle = pick(rng, (0.0, math.pi / 2, turn(rng))) if angle is None else angle
    along, across = noise.turned(canvas, angle)
    bend = noise.smooth(rng, size, between(rng, 1, 3)) * between(rng, 0.02, 0.15)
    t = across + bend + along * between(rng, -0.15, 0.15)
    for _ in range(whole_number(rng, 0, 2) if chance(rng, 0.35) else 0):
        x, y, radius = between(rng, -0.9, 0.9), between(rng, -0.9, 0.9), between(rng, 0.05, 0.14)
        near_by = np.exp(-(((along - x) / (2.5 * radius)) ** 2) - ((across - y) / radius) ** 2)
        t = t + np.sign(across - y) * near_by * radius
    rings = by_ratio(rng, 3, 22)
    wave = np.sin(t * (rings * math.pi) + noise.profile(rng, t, 12, -2, 2) * 1.5)
    late = 0.5 + 0.5 * np.sign(wave) * np.abs(wave) ** between(rng, 0.6, 1.5)
    bands = noise.profile(rng, t, 60, -2, 2)
    pores = noise.banded(
        rng, size, by_ratio(rng, 40, 100), width=0.7, angle=angle, stretch=between(rng, 8, 25)
    )
    hue = between(rng, 0.05, 0.11)
    light = colour(hue, between(rng, 0.25, 0.6), between(rng, 0.45, 0.92))
    dark = light * np.array([1.0, 0.9, 0.8], dtype=np.float32) * between(rng, 0.55, 0.85)
    share = np.clip(late * between(rng, 0.3, 1.0) + bands * 0.08 + pores * between(rng, 0.05, 0.18), 0, 1)
    albedo = mixed(light, dark.astype(np.float32), share.astype(np.float32))
    return Surface(
        albedo, (pores * between(rng, 0.0003, 0.0015)).astype(np.float32), between(rng, 0.0, 0.35), "wood"
    )


def marble(rng: np.random.Generator, canvas: Canvas) -> Surface:
    """Veins along the zero lines of warped noise, over clouds."""
    size = canvas.size
    base = drawn(rng, saturation=(0.0, 0.3), value=(0.25, 0.95))
    clouds = noise.fractal(rng, size, between(rng, 2, 5), 5, 0.6)
    albedo = mixed(base, near(rng, base, 0.15), np.clip(0.5 + clouds * 0.3, 0, 1))
    for _ in range(whole_number(rng, 1, 3)):
        field = noise.fractal(rng, size, between(rng, 2, 4), 5, between(rng, 0.4, 0.6))
        vein = 1 - smoothstep(0.0, between(rng, 0.05, 0.3), np.abs(field))
        albedo += (vein * between(rng, 0.15, 0.6))[..., None] * (drawn(rng, saturation=(0, 0.4)) - albedo)
    return Surface(albedo, np.zeros((size, size), dtype=np.float32), between(rng, 0.1, 0.5), "stone")


def terrazzo(rng: np.random.Generator, canvas: Canvas) -> Surface:
    """Chips of two or three colours in a cement, rounded or angular."""
    size = canvas.size
    base = drawn(rng, saturation=(0.0, 0.3), value=(0.35, 0.95))
    albedo = plain(size, base)
    for _ in range(whole_number(rng, 2, 3)):
        chips = noise.banded(rng, size, by_ratio(rng, 8, 45), width=between(rng, 0.3, 0.9))
        edge = between(rng, 0.4, 1.3)
        cover = smoothstep(edge, edge + between(rng, 0.05, 0.4), chips)
        tint = near(rng, base, 0.4) if chance(rng, 0.6) else drawn(rng, saturation=(0, 0.5))
        albedo += (cover * between(rng, 0.5, 1.0))[..., None] * (tint - albedo)
    return Surface(albedo, np.zeros((size, size), dtype=np.float32), between(rng, 0.05, 0.5), "stone")


def concrete(rng: np.random.Generator, canvas: Canvas) -> Surface:
    """Grey clouds, sand, and small pores."""
    size = canvas.size
    base = drawn(rng, (0.05, 0.15), (0.0, 0.15), (0.4, 0.8))
    clouds = noise.fractal(rng, size, between(rng, 2, 4), 5, 0.65)
    sand = noise.banded(rng, size, by_ratio(rng, 60, 110), width=0.6)
    pores = _pores(rng, size, between(rng, 2.2, 3.2))
    tone = (
        1
        + clouds * between(rng, 0.02, 0.09)
        + sand * between(rng, 0.01, 0.06)
        - pores * between(rng, 0.1, 0.3)
    )
    return Surface(base * tone[..., None], sand * 0.0008 - pores * 0.008, 0.02, "concrete")


def asphalt(rng: np.random.Generator, canvas: Canvas) -> Surface:
    """Stones of many greys in bitumen."""
    size = canvas.size
    base = drawn(rng, (0.05, 0.7), (0.0, 0.12), (0.22, 0.65))
    waves = by_ratio(rng, 30, 100)
    stones = noise.banded(rng, size, waves, width=between(rng, 0.4, 0.8))
    coarse = noise.banded(rng, size, waves * 0.5, width=0.5)
    clouds = noise.fractal(rng, size, 2, 3)
    sparkle = smoothstep(1.8, 2.8, noise.banded(rng, size, 100, width=0.8)) * between(rng, 0.0, 0.5)
    spread = between(rng, 0.06, 0.22)
    tone = (
        1
        + stones * spread
        + np.maximum(coarse, 0) * (spread * 0.6)
        + clouds * between(rng, 0.01, 0.06)
        + sparkle
    )
    albedo = base * np.maximum(tone, 0.15)[..., None]
    return Surface(albedo, stones * (between(rng, 0.05, 0.25) / waves), 0.05, "asphalt")


def paint_coat(rng: np.random.Generator, canvas: Canvas) -> Surface:
    """Lacquer or plastic: one colour, smooth or with orange peel."""
    size = canvas.size
    base = drawn(rng, saturation=(0.0, 0.9), value=(0.08, 0.95))
    peel = noise.banded(rng, size, by_ratio(rng, 10, 70), width=0.5)
    slow = noise.smooth(rng, size, 2)
    albedo = base * (1 + slow * between(rng, 0.0, 0.03))[..., None]
    return Surface(
        albedo.astype(np.float32), peel * between(rng, 0.0, 0.0012), between(rng, 0.1, 0.8), "plastic"
    )


def baked(rng: np.random.Generator, canvas: Canvas) -> Surface:
    """Dough and nut shells: warm browns, blotchy, crumbly."""
    size = canvas.size
    base = colour(between(rng, 0.05, 0.12), between(rng, 0.35, 0.75), between(rng, 0.45, 0.9))
    blotches = noise.fractal(rng, size, between(rng, 4, 9), 4, 0.6)
    crumbs = noise.banded(rng, size, by_ratio(rng, 25, 80), width=0.7)
    share = np.clip(0.4 + blotches * between(rng, 0.1, 0.25) + crumbs * between(rng, 0.03, 0.12), 0, 1)
    brown = base * np.array([0.72, 0.6, 0.5], dtype=np.float32)
    albedo = mixed(base, brown.astype(np.float32), share)
    return Surface(albedo, crumbs * between(rng, 0.0008, 0.003) + blotches * 0.004, between(rng, 0.0, 0.12))


def _pores(rng: np.random.Generator, size: int, level: float) -> Field:
    """Return small scattered dimples, 0..1: the peaks of noise above a level."""
    return smoothstep(level, level + 0.4, noise.banded(rng, size, by_ratio(rng, 20, 60), width=0.8))


def dull(rng: np.random.Generator, canvas: Canvas) -> Surface:
    """An even grey or near black: light tables and studio grounds."""
    size = canvas.size
    base = near(rng, grey(between(rng, 0.02, 0.97)), 0.02)
    albedo = plain(size, base)
    return Surface(albedo, np.zeros((size, size), dtype=np.float32), 0.0)
