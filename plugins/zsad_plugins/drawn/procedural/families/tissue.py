"""Organic surfaces and scans: mucosa, skin, brain slices, chest radiographs."""

from __future__ import annotations

import math

import numpy as np

from zsad_plugins.drawn.procedural import noise, shapes
from zsad_plugins.drawn.procedural.canvas import Canvas, Field, Pose, coverage, smoothstep
from zsad_plugins.drawn.procedural.chance import between, by_ratio, chance, turn, whole_number
from zsad_plugins.drawn.procedural.colours import colour, mixed, near
from zsad_plugins.drawn.procedural.materials import soft
from zsad_plugins.drawn.procedural.scene import Scene, Surface, full_frame
from zsad_plugins.drawn.procedural.strokes import curve, stroke, tapered


def mucosa(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """The inside of a colon: wet red folds, vessels, a dark lumen, the black frame of an endoscope."""
    size = canvas.size
    base = colour(between(rng, -0.02, 0.07), between(rng, 0.35, 0.75), between(rng, 0.5, 0.9))
    tone = noise.fractal(rng, size, between(rng, 2, 4), 4)
    pale = near(rng, np.clip(base * np.array([1.1, 1.35, 1.3], dtype=np.float32), 0, 1), 0.04)
    albedo = mixed(base, pale, np.clip(0.5 + tone * between(rng, 0.1, 0.3), 0, 1))
    vessels = noise.fractal(rng, size, between(rng, 4, 8), 3, 0.5)
    lines = smoothstep(between(rng, 0.05, 0.15), 0.0, np.abs(vessels)) * between(rng, 0.0, 0.3)
    albedo *= 1 - lines[..., None] * np.array([0.3, 1.0, 0.9], dtype=np.float32)
    x, y = between(rng, -0.7, 0.7), between(rng, -0.7, 0.7)
    away = np.sqrt((canvas.x - x) ** 2 + (canvas.y - y) ** 2)
    away = np.maximum(away + noise.fractal(rng, size, 3, 2) * between(rng, 0.05, 0.16), 0.0)
    height = noise.smooth(rng, size, between(rng, 2, 4)) * between(rng, 0.03, 0.1)
    waves = by_ratio(rng, 4, 9)
    wrinkled = noise.banded(rng, size, waves, width=0.5, angle=turn(rng), stretch=between(rng, 1.0, 2.5))
    height += np.tanh(wrinkled) * (between(rng, 0.0, 0.09) / waves)
    if chance(rng, 0.65):
        # Folds run around the lumen, closer together the farther away they are.
        folds = np.sin(np.log(away + 0.12) * between(rng, 5, 11) + turn(rng))
        height += (1 - np.abs(folds)) * away * between(rng, 0.03, 0.14)
        lumen = smoothstep(between(rng, 0.3, 0.7), 0.05, away) * between(rng, 0.3, 0.92)
        albedo *= (1 - lumen)[..., None]
    wet = between(rng, 0.3, 1.0)
    drops = smoothstep(between(rng, 1.6, 2.4), 3.0, noise.banded(rng, size, by_ratio(rng, 14, 45), width=0.7))
    albedo += (drops * wet * between(rng, 0.0, 0.9))[..., None]
    scene = full_frame(canvas, Surface(albedo.astype(np.float32), height.astype(np.float32), wet))
    if chance(rng, 0.6):
        _hide_outside(rng, scene)
    return scene


def _hide_outside(rng: np.random.Generator, scene: Scene) -> None:
    """Black out the corners, as the round or cut-off view of an endoscope does."""
    canvas = scene.canvas
    if chance(rng, 0.5):
        distance = shapes.disc(canvas.x, canvas.y, between(rng, 0.95, 1.15))
    else:
        octagon = shapes.polygon(canvas.x, canvas.y, 8, between(rng, 0.93, 1.05))
        distance = np.maximum(octagon, np.abs(canvas.x) - 0.98)
    inside = coverage(distance, canvas.pixel * 1.5)
    scene.albedo *= inside[..., None]
    scene.height *= inside
    scene.gloss *= inside
    scene.region = scene.region * inside


def skin(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """Skin, sometimes with hairs and harmless freckles."""
    scene = full_frame(canvas, soft.skin(rng, canvas), turn(rng))
    if chance(rng, 0.4):
        hair = np.zeros_like(scene.height)
        width = between(rng, 0.004, 0.012)
        for _ in range(whole_number(rng, 2, 12)):
            path = curve(rng, (between(rng, -1, 1), between(rng, -1, 1)), between(rng, 0.4, 1.4), 0.8)
            stroke(canvas, hair, path, tapered(rng, len(path), width))
        scene.paint(canvas, hair * between(rng, 0.5, 0.95), colour(0.07, 0.5, between(rng, 0.05, 0.3)))
    if chance(rng, 0.3):
        freckles = smoothstep(1.9, 2.4, noise.banded(rng, canvas.size, by_ratio(rng, 10, 24), width=0.4))
        scene.albedo *= 1 - freckles[..., None] * np.array([0.1, 0.22, 0.25], dtype=np.float32)
    return scene


def brain(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """A slice of a head in grey: skull ring, folded cortex, ventricles; left and right alike."""
    size = canvas.size
    pose = Pose(
        between(rng, -0.06, 0.06),
        between(rng, -0.06, 0.06),
        between(rng, -0.15, 0.15),
        between(rng, 0.75, 0.98),
    )
    u, v = pose.apply(canvas)
    wide = between(rng, 0.7, 0.9)
    egg = 1 + between(rng, -0.12, 0.12) * v
    head = shapes.oval(u * egg, v, wide, 0.95) + noise.smooth(rng, size, 3) * 0.01
    warp = noise.smooth(rng, size, 5) * 0.015
    cortex = shapes.oval(u * egg, v, wide - between(rng, 0.08, 0.18), between(rng, 0.76, 0.86)) + warp
    folds = noise.banded(rng, size, between(rng, 7, 13), width=0.45)
    mirrored = 0.6 * folds + 0.4 * folds[:, ::-1]
    matter = between(rng, 0.25, 0.55)
    grain = noise.fractal(rng, size, 16, 3, 0.7)
    paired = noise.smooth(rng, size, 5)
    paired = (paired + paired[:, ::-1]) * 0.5
    tissue = matter + between(rng, 0.03, 0.09) * np.tanh(mirrored * 1.5) * smoothstep(-0.4, -0.02, cortex)
    tissue = tissue + smoothstep(-0.25, -0.4, cortex) * between(rng, -0.06, 0.1)
    tissue = tissue + grain * between(rng, 0.005, 0.03) + paired * between(rng, 0.0, 0.08)
    sulci = smoothstep(0.18, 0.0, np.abs(mirrored)) * smoothstep(-0.28, -0.03, cortex)
    tissue -= sulci * between(rng, 0.05, 0.2)
    picture: Field = np.zeros((size, size), dtype=np.float32) + between(rng, 0.0, 0.04)
    pixel = canvas.pixel / pose.scale
    skull = between(rng, 0.45, 0.95)
    picture += coverage(head, pixel) * (between(rng, 0.05, 0.2) - picture)
    picture += coverage(np.abs(head + 0.05) - between(rng, 0.015, 0.04), pixel) * (skull - picture)
    picture += coverage(cortex, pixel * 2) * (tissue - picture)
    _midline(rng, picture, u, v, warp, pixel)
    albedo = np.repeat(np.clip(picture, 0, 1)[..., None], 3, axis=2).astype(np.float32)
    scene = full_frame(canvas, Surface(albedo, np.zeros((size, size), dtype=np.float32), 0.0), pose.angle)
    scene.region = coverage(cortex + 0.05, pixel)
    scene.flat = scene.grey = True
    return scene


def _midline(rng: np.random.Generator, picture: Field, u: Field, v: Field, warp: Field, pixel: float) -> None:
    """Draw the middle of a brain into ``picture``: gap, chambers, deep grey matter."""
    gap = shapes.bar(u, v, (0.0, -0.75), (0.0, 0.75), between(rng, 0.004, 0.015))
    picture -= coverage(gap, pixel * 3) * between(rng, 0.02, 0.12)
    away, tilt, long = between(rng, 0.1, 0.2), between(rng, -0.2, 0.2), between(rng, 0.1, 0.3)
    mirror = np.abs(u)
    chamber = shapes.bar(
        mirror, v, (away * 0.6, -long), (away + tilt * 0.3, long * 0.7), between(rng, 0.03, 0.09)
    )
    dark = chance(rng, 0.8)
    if chance(rng, 0.5):
        # Deep grey matter and a midline chamber: paired or central spots are normal.
        core = shapes.oval(
            mirror - between(rng, 0.16, 0.26), v - between(rng, -0.1, 0.2), 0.1, between(rng, 0.1, 0.2)
        )
        picture += coverage(core + warp, pixel * 6) * between(rng, -0.08, 0.08)
    if chance(rng, 0.3):
        rear = shapes.oval(u, v - between(rng, 0.1, 0.4), between(rng, 0.03, 0.08), between(rng, 0.06, 0.15))
        picture += coverage(rear, pixel * 3) * (0.1 - picture) * 0.8
    picture += coverage(chamber + warp, pixel * 2) * ((0.1 if dark else 0.75) - picture) * 0.85


def chest(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """A radiograph: dark lungs, ribs, a bright spine and heart."""
    size = canvas.size
    pose = Pose(
        between(rng, -0.08, 0.08), between(rng, -0.1, 0.1), between(rng, -0.05, 0.05), between(rng, 0.9, 1.1)
    )
    u, v = pose.apply(canvas)
    mirror = np.abs(u)
    body = between(rng, 0.5, 0.72)
    picture: Field = np.full((size, size), body, dtype=np.float32)
    picture -= smoothstep(0.85, 1.0, mirror + 0.15 * v) * between(rng, 0.1, 0.5)
    lung = shapes.oval(mirror - 0.45, v + 0.05 - mirror * 0.15, 0.33, between(rng, 0.65, 0.78))
    inside = smoothstep(0.05, -0.08, lung)
    clouds = noise.fractal(rng, size, 5, 5, 0.6) * between(rng, 0.01, 0.04)
    picture += inside * (between(rng, 0.12, 0.3) + clouds - picture)
    rib = np.mod(
        v * between(rng, 4.5, 6.5) + mirror * mirror * between(rng, 1.2, 2.2) + between(rng, 0, 1), 1.0
    )
    picture += smoothstep(0.25, 0.1, np.abs(rib - 0.5)) * inside * between(rng, 0.04, 0.12)
    picture += smoothstep(0.16, 0.05, mirror) * between(rng, 0.1, 0.25)
    heart = shapes.oval(
        u - between(rng, 0.1, 0.2), v - 0.3, between(rng, 0.25, 0.36), between(rng, 0.28, 0.36)
    )
    picture += smoothstep(0.06, -0.1, heart) * (body + 0.1 - picture) * 0.85
    vessels = noise.banded(rng, size, between(rng, 12, 24), width=0.6)
    picture += np.maximum(vessels, 0) * inside * between(rng, 0.005, 0.025)
    picture += smoothstep(0.4, 0.7, v) * smoothstep(-0.05, 0.1, lung) * 0.15
    albedo = np.repeat(np.clip(picture, 0, 1)[..., None], 3, axis=2).astype(np.float32)
    scene = full_frame(canvas, Surface(albedo, np.zeros((size, size), dtype=np.float32), 0.0))
    scene.region = coverage(lung + 0.06, canvas.pixel * math.sqrt(2))
    scene.flat = scene.grey = True
    return scene
