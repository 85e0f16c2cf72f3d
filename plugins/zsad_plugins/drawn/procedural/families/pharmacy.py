"""Capsules, tablets, blister packs, chewing gum."""

from __future__ import annotations

import numpy as np

from zsad_plugins.drawn.procedural import noise, shapes
from zsad_plugins.drawn.procedural.canvas import Canvas, Pose, coverage, smoothstep
from zsad_plugins.drawn.procedural.chance import between, by_ratio, chance, pick, whole_number
from zsad_plugins.drawn.procedural.colours import colour, drawn, grey, mixed, near, plain
from zsad_plugins.drawn.procedural.families import glyphs
from zsad_plugins.drawn.procedural.relief import domed
from zsad_plugins.drawn.procedural.scene import Scene, Surface
from zsad_plugins.drawn.procedural.stage import drawn_pose, empty_stage, place


def _imprint(rng: np.random.Generator, scene: Scene, pose: Pose, scale: float, length: float) -> None:
    ink = np.zeros_like(scene.height)
    if chance(rng, 0.7):
        glyphs.text_line(rng, scene.canvas, pose.child(0, 0, 0, scale), length, ink)
    else:
        glyphs.emblem(rng, scene.canvas, pose.child(0, 0, 0, scale), ink)
    ink *= scene.region
    body = scene.albedo[scene.canvas.size // 2, scene.canvas.size // 2]
    dark = float(body.mean()) > 0.45
    scene.print_on(ink, grey(between(rng, 0.02, 0.2)) if dark else grey(between(rng, 0.8, 1.0)))


def capsule(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """A two-coloured capsule with a seam and often an imprint."""
    scene = empty_stage(rng, canvas)
    pose = drawn_pose(rng, 0.7, 0.95)
    u, v = pose.apply(canvas)
    half = between(rng, 0.25, 0.42)
    distance = shapes.bar(u, v, (-0.95 + half, 0.0), (0.95 - half, 0.0), half)
    first = drawn(rng, saturation=(0.1, 0.95), value=(0.3, 0.95))
    second = (
        drawn(rng, saturation=(0.0, 0.95), value=(0.4, 1.0)) if chance(rng, 0.8) else near(rng, first, 0.05)
    )
    seam = between(rng, -0.25, 0.25)
    albedo = mixed(first, second, np.clip(0.5 + (u - seam) * 80, 0, 1))
    surface = Surface(albedo, np.zeros_like(u), between(rng, 0.4, 1.0))
    place(rng, scene, pose, distance, surface, edge=half, rise=half, round_top=True)
    wider = smoothstep(seam - 0.01, seam + 0.01, u) * scene.region
    scene.height += wider * np.float32(0.02 * pose.scale)
    if chance(rng, 0.75):
        _imprint(rng, scene, pose.child(between(rng, -0.3, 0.3), 0.0), half * 0.55, whole_number(rng, 2, 5))
    return scene


def pill(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """A tablet, round, oval or long, speckled or coated, with an imprint or a score line."""
    scene = empty_stage(rng, canvas)
    pose = drawn_pose(rng, 0.55, 0.9)
    u, v = pose.apply(canvas)
    kind = int(rng.integers(3))
    if kind == 0:
        distance = shapes.disc(u, v, 0.85)
    elif kind == 1:
        distance = shapes.oval(u, v, 0.95, between(rng, 0.5, 0.75))
    else:
        distance = shapes.box(u, v, 0.95, between(rng, 0.38, 0.55), 0.6)
    base = drawn(rng, saturation=(0.0, 0.6), value=(0.5, 1.0))
    albedo = plain(canvas.size, base)
    if chance(rng, 0.5):
        level = between(rng, 1.2, 2.2)
        dots = smoothstep(level, level + 0.4, noise.banded(rng, canvas.size, by_ratio(rng, 25, 60)))
        albedo = mixed(
            base, drawn(rng, saturation=(0.2, 0.9), value=(0.2, 0.8)), dots * between(rng, 0.3, 0.9)
        )
    powder = noise.banded(rng, canvas.size, 70) * between(rng, 0.0, 0.0012)
    surface = Surface(albedo, powder.astype(np.float32), between(rng, 0.0, 0.6))
    place(rng, scene, pose, distance, surface, edge=between(rng, 0.15, 0.5), rise=between(rng, 0.08, 0.2))
    if chance(rng, 0.4):
        line = smoothstep(0.05, 0.0, np.abs(u)) * scene.region
        scene.height -= line * np.float32(0.04 * pose.scale)
    if chance(rng, 0.6):
        _imprint(rng, scene, pose, between(rng, 0.18, 0.3), whole_number(rng, 2, 3))
    return scene


def blister(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """A foil with rows of tablets under clear domes."""
    scene = empty_stage(rng, canvas)
    pose = drawn_pose(rng, 0.8, 0.95, upright=0.7)
    u, v = pose.apply(canvas)
    rows, columns = whole_number(rng, 2, 3), whole_number(rng, 3, 5)
    ratio = rows / columns
    foil = grey(between(rng, 0.55, 0.85)) * near(rng, grey(1.0), 0.05)
    knurl = np.sin(u * 70) * np.sin(v * 70)
    albedo = (foil * (1 + knurl * between(rng, 0.0, 0.06))[..., None]).astype(np.float32)
    surface = Surface(albedo, (knurl * between(rng, 0.0, 0.002)).astype(np.float32), between(rng, 0.2, 0.6))
    distance = shapes.box(u, v, 0.95, max(0.5, 0.95 * ratio), 0.08)
    place(rng, scene, pose, distance, surface, edge=0.03, rise=0.02)
    scene.remember_beneath()
    base = drawn(rng, saturation=(0.0, 0.9), value=(0.4, 1.0))
    cell_u, cell_v = 1.8 / columns, 1.9 * max(0.5, 0.95 * ratio) / rows
    long = pick(rng, (True, False))
    for row in range(rows):
        for column in range(columns):
            at = pose.child((column - (columns - 1) / 2) * cell_u, (row - (rows - 1) / 2) * cell_v)
            radius = min(cell_u, cell_v) * 0.4
            area = canvas.window(at.x, at.y, max(cell_u, cell_v) * 0.5 * pose.scale)
            a, b = at.apply(area)
            shape = shapes.box(a, b, radius, cell_v * 0.42, radius) if long else shapes.disc(a, b, radius)
            cover = coverage(shape, canvas.pixel / pose.scale)
            height = domed(shape, radius, radius * 0.6 * pose.scale)
            scene.paint(area, cover, near(rng, base, 0.01), height=height, gloss=between(rng, 0.3, 0.9))
            scene.add_part(area, cover)
    return scene


def chewing_gum(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """One or several coated pads, nearly white, edges rounded, surface slightly uneven."""
    scene = empty_stage(rng, canvas)
    base = colour(between(rng, 0.05, 0.6), between(rng, 0.0, 0.25), between(rng, 0.75, 1.0))
    uneven = noise.smooth(rng, canvas.size, between(rng, 8, 20))
    albedo = (base * (1 + uneven * 0.015)[..., None]).astype(np.float32)
    surface = Surface(albedo, uneven * between(rng, 0.001, 0.006), between(rng, 0.1, 0.7))
    pose = drawn_pose(rng, 0.55, 0.9)
    u, v = pose.apply(canvas)
    if chance(rng, 0.35):
        distance = np.full_like(u, 9.0)
        for x, y in ((-0.5, -0.45), (0.5, -0.45), (-0.5, 0.45), (0.5, 0.45)):
            own = pose.child(
                x + between(rng, -0.06, 0.06), y + between(rng, -0.06, 0.06), between(rng, -0.4, 0.4)
            )
            a, b = own.apply(canvas)
            np.minimum(distance, shapes.box(a, b, 0.4, 0.26, 0.14), out=distance)
    else:
        distance = shapes.box(u, v, 0.9, between(rng, 0.5, 0.65), between(rng, 0.2, 0.4))
    place(rng, scene, pose, distance, surface, edge=between(rng, 0.1, 0.3), rise=between(rng, 0.08, 0.15))
    return scene
