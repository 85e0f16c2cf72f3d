"""Leather, skin, carpet, woven fabric, felt."""

from __future__ import annotations

import math

import numpy as np

from zsad_plugins.drawn.procedural import noise
from zsad_plugins.drawn.procedural.canvas import Canvas, smoothstep
from zsad_plugins.drawn.procedural.chance import between, by_ratio, chance, pick, turn, whole_number
from zsad_plugins.drawn.procedural.colours import colour, drawn, mixed, near
from zsad_plugins.drawn.procedural.scene import Surface


def leather(rng: np.random.Generator, canvas: Canvas) -> Surface:
    """Pebbles between creases, fine or coarse, with slow changes of tone."""
    size = canvas.size
    waves = by_ratio(rng, 14, 60)
    grain = noise.banded(rng, size, waves, width=between(rng, 0.25, 0.5))
    # Creases where noise changes sign give closed pebbles, plain noise gives a softer grain.
    pebbled, softness = chance(rng, 0.5), between(rng, 0.5, 1.2)
    height = np.sqrt(np.abs(grain) + 0.02) if pebbled else np.tanh(grain * softness)
    tone = noise.smooth(rng, size, between(rng, 2, 5))
    hue = (0.02, 0.1) if chance(rng, 0.65) else (0.0, 1.0)
    base = drawn(rng, hue, (0.1, 0.75), (0.12, 0.75))
    share = np.clip(0.5 + height * between(rng, 0.1, 0.3) - 0.15 + tone * between(rng, 0.02, 0.1), 0, 1)
    albedo = mixed(base * between(rng, 0.55, 0.85), near(rng, np.minimum(base * 1.15, 1), 0.03), share)
    rise = between(rng, 0.08, 0.3) / waves
    return Surface(albedo, height * rise, between(rng, 0.02, 0.3), "leather")


def skin(rng: np.random.Generator, canvas: Canvas) -> Surface:
    """Skin tones, fine lines crossing, pores, redder and paler areas."""
    size = canvas.size
    base = colour(between(rng, 0.03, 0.08), between(rng, 0.22, 0.55), between(rng, 0.4, 0.92))
    tone = noise.fractal(rng, size, between(rng, 2, 4), 3)
    albedo = mixed(
        base, base * np.array([1.0, 0.8, 0.78], dtype=np.float32), np.clip(0.4 + tone * 0.25, 0, 1)
    )
    angle, waves = turn(rng), by_ratio(rng, 20, 50)
    lines = noise.banded(rng, size, waves, width=0.4, angle=angle, stretch=between(rng, 2, 4))
    lines += noise.banded(rng, size, waves, width=0.4, angle=angle + between(rng, 0.8, 1.6), stretch=2.5)
    albedo *= (1 + lines * between(rng, 0.004, 0.02))[..., None]
    return Surface(albedo, lines * (between(rng, 0.005, 0.05) / waves), between(rng, 0.02, 0.25), "skin")


def carpet(rng: np.random.Generator, canvas: Canvas) -> Surface:
    """Tufts in noise or in rows, with flecks of a second yarn."""
    size = canvas.size
    waves = by_ratio(rng, 35, 100)
    pile = noise.banded(rng, size, waves, width=between(rng, 0.25, 0.6))
    if chance(rng, 0.5):
        _, across = noise.turned(canvas, turn(rng))
        rows = np.sin(across * (math.pi * waves * 0.4) + pile * 0.4)
        pile = 0.6 * pile + rows * between(rng, 0.4, 1.0)
    base = drawn(rng, saturation=(0.0, 0.6), value=(0.2, 0.75))
    second = near(rng, base, 0.2) if chance(rng, 0.6) else drawn(rng, value=(0.15, 0.85))
    flecks = noise.banded(rng, size, waves * between(rng, 0.3, 0.8), width=0.5)
    share = smoothstep(0.2, between(rng, 0.5, 1.6), flecks + 0.3 * pile) * between(rng, 0.2, 0.9)
    albedo = mixed(base, second, share)
    albedo *= (0.85 + np.tanh(pile) * between(rng, 0.08, 0.22))[..., None]
    return Surface(albedo, pile * (between(rng, 0.1, 0.35) / waves), 0.0, "carpet")


def woven(rng: np.random.Generator, canvas: Canvas, angle: float | None = None) -> Surface:
    """Over-and-under weave of warp and weft, plain or twill, with stripes or checks of coloured yarn."""
    angle = turn(rng) if angle is None else angle
    count = by_ratio(rng, 12, 48)
    # A loose hand-woven cloth bends its threads; a technical one does not.
    sway = noise.smooth(rng, canvas.size, 3) * (between(rng, 0.0, 0.35) / count)
    along, across = noise.turned(canvas, angle)
    u, v = (along + sway) * (count * 0.5), (across - sway) * (count * between(rng, 0.4, 0.6))
    column, row = np.floor(u), np.floor(v)
    fu, fv = u - column - 0.5, v - row - 0.5
    step = pick(rng, (1, 1, 2, 3))
    shift = column + row if step == 1 else column + row * pick(rng, (1, -1))
    over = np.mod(shift, step + 1) < 1
    thickness = between(rng, 0.85, 1.1)
    warp = np.sqrt(np.maximum(1 - (2 * fu / thickness) ** 2, 0.0)) * np.where(over, 1.0, 0.55 + 0.4 * fv * fv)
    weft = np.sqrt(np.maximum(1 - (2 * fv / thickness) ** 2, 0.0)) * np.where(over, 0.55 + 0.4 * fu * fu, 1.0)
    height = np.maximum(warp, weft).astype(np.float32)
    top = warp >= weft
    base = drawn(rng, saturation=(0.0, 0.7), value=(0.2, 0.9))
    yarns = _yarns(rng, base, 64)
    if chance(rng, 0.6):
        albedo = np.where(top[..., None], yarns[column.astype(int) % 64], yarns[(row.astype(int) + 7) % 64])
    else:
        albedo = np.where(top[..., None], base, near(rng, base, 0.15))
    fibres = noise.banded(rng, canvas.size, count * 3, width=0.5)
    albedo = albedo * ((0.5 + 0.5 * height) * (1 + fibres * between(rng, 0.01, 0.06)))[..., None]
    return Surface(
        albedo.astype(np.float32), height * (between(rng, 0.15, 0.5) / count), between(rng, 0, 0.15)
    )


def felt(rng: np.random.Generator, canvas: Canvas) -> Surface:
    """Matt, faintly fibrous, one colour: backgrounds and paper."""
    base = drawn(rng, saturation=(0.0, 0.5), value=(0.1, 0.95))
    stretch = between(rng, 1, 4)
    fibre = noise.banded(rng, canvas.size, by_ratio(rng, 15, 90), width=0.7, angle=turn(rng), stretch=stretch)
    albedo = base * (1 + fibre * between(rng, 0.01, 0.08))[..., None]
    return Surface(albedo.astype(np.float32), fibre * 0.0008, 0.0, "paper")


def _yarns(rng: np.random.Generator, base: np.ndarray, count: int) -> np.ndarray:
    """Return colours [count, 3] of neighbouring threads: stripes of one to three colours."""
    palette = [base] + [drawn(rng, value=(0.15, 0.9)) for _ in range(whole_number(rng, 0, 2))]
    period = [palette[whole_number(rng, 0, len(palette) - 1)] for _ in range(whole_number(rng, 2, 8))]
    repeat = whole_number(rng, 1, 4)
    colours = np.stack([period[(index // repeat) % len(period)] for index in range(count)])
    return (colours + rng.normal(0, 0.015, (count, 1))).astype(np.float32)
