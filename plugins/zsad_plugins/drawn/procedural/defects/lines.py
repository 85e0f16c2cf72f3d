"""Defects that are lines: scratch, crack, cut, wrinkle."""

from __future__ import annotations

import math

import numpy as np

from zsad_plugins.drawn.procedural import noise
from zsad_plugins.drawn.procedural.canvas import Field, smoothstep
from zsad_plugins.drawn.procedural.chance import between, by_ratio, chance, turn, whole_number
from zsad_plugins.drawn.procedural.colours import grey, near
from zsad_plugins.drawn.procedural.defects.site import (
    defect_radius,
    is_dark,
    local_colour,
    on_object,
    reach,
    spot,
)
from zsad_plugins.drawn.procedural.scene import Scene
from zsad_plugins.drawn.procedural.strokes import centred, stroke, tapered, wander


def scratch(rng: np.random.Generator, scene: Scene, strength: float) -> Field:
    """One to four thin, nearly straight lines, brighter or darker, a shallow groove."""
    cover = np.zeros_like(scene.height)
    at = spot(rng, scene)
    angle, spread = turn(rng), between(rng, 0.02, 0.5)
    for number in range(whole_number(rng, 1, 1 + round(3 * strength))):
        place = at if number == 0 else (at[0] + between(rng, -0.2, 0.2), at[1] + between(rng, -0.2, 0.2))
        length = (
            by_ratio(rng, 0.3, 2.4 if scene.ground is None else 1.4) * (0.5 + 0.5 * strength) * reach(scene)
        )
        heading = angle + between(rng, -spread, spread)
        path = wander(rng, (0, 0), heading, length, steps=12, wobble=0.05, bend=between(rng, -0.5, 0.5))
        width = max(by_ratio(rng, 0.006, 0.008 + 0.022 * strength), scene.canvas.pixel * 0.9)
        widths = tapered(rng, len(path), width, 0.4)
        stroke(scene.canvas, cover, centred(path, place), widths, between(rng, 0.75, 1.0))
    cover = on_object(scene, cover)
    if chance(rng, 0.35):
        # A scratch that skips: it is torn up along its way.
        cover *= smoothstep(-1.3, -0.3, noise.banded(rng, scene.canvas.size, 14))
    base = local_colour(scene, at)
    dark = is_dark(rng, scene, at, 0.4)
    tone = base * between(rng, 0.1, 0.45) if dark else base + (1 - base) * between(rng, 0.45, 0.9)
    scene.paint(scene.canvas, cover * between(rng, 0.6, 1.0), tone.astype(np.float32))
    scene.height -= cover * np.float32(between(rng, 0.002, 0.008))
    return cover


def crack(rng: np.random.Generator, scene: Scene, strength: float) -> Field:
    """A jagged dark line that branches, thinner towards its ends."""
    cover = np.zeros_like(scene.height)
    at = spot(rng, scene)
    pixel = scene.canvas.pixel
    length = by_ratio(rng, 0.5, 3.0 if scene.ground is None else 1.8) * (0.4 + 0.6 * strength) * reach(scene)
    width = max(by_ratio(rng, 0.007, 0.012 + 0.026 * strength), pixel)
    heading = turn(rng)
    path = centred(_fracture(rng, heading, length), at)
    stroke(scene.canvas, cover, path, tapered(rng, len(path), width, 0.35))
    for _ in range(whole_number(rng, 0, 1 + round(4 * strength))):
        start = path[whole_number(rng, 1, len(path) - 2)]
        side = heading + between(rng, 0.4, 1.3) * (1 if chance(rng, 0.5) else -1)
        branch = _fracture(rng, side, length * between(rng, 0.12, 0.5)) + start
        widths = np.linspace(width * 0.7, width * 0.15, len(branch)).astype(np.float32)
        stroke(scene.canvas, cover, branch, widths)
    cover = on_object(scene, cover)
    base = local_colour(scene, at)
    # On very dark ground a crack shows by its bright, broken edges.
    tone = base * between(rng, 0.05, 0.35) if float(base.mean()) > 0.14 else base + between(rng, 0.25, 0.45)
    scene.paint(scene.canvas, cover * between(rng, 0.75, 1.0), tone.astype(np.float32), gloss=0.0)
    scene.height -= cover * np.float32(between(rng, 0.005, 0.02))
    return cover


def _fracture(rng: np.random.Generator, heading: float, length: float) -> Field:
    """Return a path [N, 2] from the origin that wanders slowly and is jagged in detail."""
    steps = max(6, int(length * between(rng, 16, 30)))
    slow = np.interp(np.arange(steps), np.linspace(0, steps - 1, 5), rng.normal(0, 0.55, 5))
    headings = heading + slow + rng.normal(0, between(rng, 0.3, 0.75), steps)
    strides = (length / steps) * rng.uniform(0.4, 1.6, steps)
    moves = np.stack([np.cos(headings), np.sin(headings)], axis=1) * strides[:, None]
    return np.concatenate([np.zeros((1, 2)), np.cumsum(moves, axis=0)]).astype(np.float32)


def cut(rng: np.random.Generator, scene: Scene, strength: float) -> Field:
    """A clean slit, wide in its middle, dark inside, with lips that stand up on both sides."""
    at = spot(rng, scene)
    length = by_ratio(rng, 0.25, 0.95) * (0.5 + 0.5 * strength) * reach(scene)
    width = max(length * between(rng, 0.04, 0.14), scene.canvas.pixel * 1.6)
    path = wander(rng, (0, 0), turn(rng), length, steps=10, wobble=0.03, bend=between(rng, -0.4, 0.4))
    path = centred(path, at)
    profile = np.sin(math.pi * np.linspace(0.02, 0.98, len(path)))
    slit, lips = np.zeros_like(scene.height), np.zeros_like(scene.height)
    stroke(scene.canvas, slit, path, (width * profile).astype(np.float32))
    stroke(scene.canvas, lips, path, (width * profile * 2.2 + 0.012).astype(np.float32))
    slit, lips = on_object(scene, slit), on_object(scene, lips)
    base = local_colour(scene, at)
    edge = near(rng, np.clip(base + between(rng, 0.08, 0.3), 0, 1), 0.04)
    inside = grey(between(rng, 0.0, 0.08)) if float(base.mean()) > 0.2 else grey(between(rng, 0.5, 0.8))
    scene.height += lips * np.float32(between(rng, 0.006, 0.02))
    scene.paint(scene.canvas, lips * between(rng, 0.3, 0.8), edge)
    scene.paint(scene.canvas, slit, inside, height=scene.height - 0.03, gloss=0.0)
    return np.maximum(lips, slit)


def wrinkle(rng: np.random.Generator, scene: Scene, strength: float) -> Field:
    """One to three soft folds: long ridges, lighter on their crest and darker beside it."""
    at = spot(rng, scene)
    heading = turn(rng)
    size = scene.canvas.size
    cover, crest = np.zeros_like(scene.height), np.zeros_like(scene.height)
    lift = np.zeros_like(scene.height)
    for number in range(whole_number(rng, 1, 3)):
        place = at if number == 0 else (at[0] + between(rng, -0.25, 0.25), at[1] + between(rng, -0.25, 0.25))
        length = by_ratio(rng, 0.5, 1.4) * reach(scene) * (0.6 + 0.4 * strength)
        path = wander(
            rng, (0, 0), heading + between(rng, -0.3, 0.3), length, wobble=0.15, bend=between(rng, -0.7, 0.7)
        )
        width = max(defect_radius(rng, scene, strength, 0.02, 0.07), 3 * scene.canvas.pixel)
        soft = np.zeros_like(cover)
        # Nested strokes of growing width add up to a rounded ridge.
        for step in range(4):
            layer = np.zeros_like(cover)
            widths = tapered(rng, len(path), width * (0.35 + 0.55 * step), 0.5)
            stroke(scene.canvas, layer, centred(path, place), widths)
            soft += layer * 0.25
        np.maximum(cover, (soft > 0.01).astype(np.float32), out=cover)
        np.maximum(lift, soft * width, out=lift)
        np.maximum(crest, np.clip(soft * 2 - 1.1, 0, 1), out=crest)
    ripple = 1 + noise.smooth(rng, size, 8) * 0.1
    rise = between(rng, 0.5, 1.1) * (0.5 + 0.5 * strength)
    scene.height += on_object(scene, lift * ripple * rise).astype(np.float32)
    sides = np.clip(cover * 0.25 - crest * 0.2, 0, 1) * (0.5 + 0.5 * strength)
    scene.albedo *= (1 - on_object(scene, sides))[..., None]
    scene.paint(scene.canvas, on_object(scene, crest) * 0.25, grey(0.9))
    return on_object(scene, cover)
