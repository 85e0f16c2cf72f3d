"""Bolts, nuts, washers, gears, rings, brackets."""

from __future__ import annotations

import math

import numpy as np

from zsad_plugins.drawn.procedural import shapes
from zsad_plugins.drawn.procedural.canvas import Canvas, Field, Pose, coverage
from zsad_plugins.drawn.procedural.chance import between, chance, pick, whole_number
from zsad_plugins.drawn.procedural.families import glyphs
from zsad_plugins.drawn.procedural.materials import hard, metal
from zsad_plugins.drawn.procedural.scene import Scene, Surface
from zsad_plugins.drawn.procedural.stage import drawn_pose, empty_stage, place


def _metal(rng: np.random.Generator, canvas: Canvas, pose: Pose) -> Surface:
    if chance(rng, 0.3):
        return metal.brushed(rng, canvas, pose.angle)
    return metal.cast(rng, canvas)


def bolt(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """A screw from the side: head, shaft, thread, sometimes a point."""
    scene = empty_stage(rng, canvas)
    pose = drawn_pose(rng, 0.75, 0.95)
    u, v = pose.apply(canvas)
    half, head = between(rng, 0.08, 0.2), between(rng, 0.13, 0.28)
    wide = half * between(rng, 1.5, 2.3)
    lead = between(rng, 0.05, 0.11)
    phase = np.mod(u / lead + 0.5 * np.sign(v), 1.0)
    tooth = np.abs(phase - 0.5) * 2
    start = -0.95 + head + between(rng, 0.0, 0.5)
    threaded = (u > start).astype(np.float32)
    depth = half * between(rng, 0.12, 0.28)
    taper = between(rng, 0.15, 0.5) if chance(rng, 0.5) else 0.0
    thinning = np.clip((u - (0.95 - taper)) / max(taper, 0.01), 0, 1) if taper else np.zeros_like(u)
    radius = (half - depth * tooth * threaded) * (1 - 0.93 * thinning)
    shaft = np.maximum(np.abs(v) - radius, np.abs(u - head / 2) - (0.95 - head / 2)) * 0.8
    if chance(rng, 0.5):
        cap = shapes.box(u + 0.95 - head / 2, v, head / 2, wide, between(rng, 0.01, head / 2))
    else:
        slope = (u + 0.95) / head
        cap = np.maximum(np.maximum(np.abs(v) - wide + slope * (wide - half), -(u + 0.95)), u + 0.95 - head)
    distance = np.minimum(shaft, cap)
    place(rng, scene, pose, distance, _metal(rng, canvas, pose), edge=half, rise=half, round_top=True)
    helix = np.abs(np.mod(u / lead - v * (0.5 / half) + 0.25, 1.0) - 0.5) * 2
    groove = coverage(shaft, canvas.pixel / pose.scale) * threaded * (1 - thinning)
    scene.height -= groove * helix * depth * pose.scale * 0.8
    scene.albedo *= (1 - groove * helix * between(rng, 0.1, 0.5))[..., None]
    return scene


def nut(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """A hexagonal (or square) nut from above, threaded hole, chamfer."""
    scene = empty_stage(rng, canvas)
    pose = drawn_pose(rng, 0.5, 0.85)
    u, v = pose.apply(canvas)
    outline = shapes.polygon(u, v, pick(rng, (6, 6, 6, 4, 8)), 0.85, between(rng, 0.01, 0.12))
    bore = between(rng, 0.38, 0.55)
    distance = shapes.without(outline, shapes.disc(u, v, bore))
    place(rng, scene, pose, distance, _metal(rng, canvas, pose), edge=0.06, rise=0.07)
    radius = np.sqrt(u * u + v * v)
    pitch = between(rng, 0.03, 0.06)
    thread = (np.abs(np.mod(radius / pitch, 1.0) - 0.5) * 2) * (np.abs(radius - bore - 0.05) < 0.06)
    scene.albedo *= (1 - thread * between(rng, 0.1, 0.5))[..., None]
    scene.height -= (thread * 0.012).astype(np.float32)
    chamfer = np.clip((radius - 0.86) * 3, 0, 0.3) * (distance < 0)
    scene.height -= chamfer.astype(np.float32) * pose.scale * 0.4
    return scene


def washer(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """A flat ring, sometimes split, stamped or with a second step."""
    scene = empty_stage(rng, canvas)
    pose = drawn_pose(rng, 0.5, 0.92)
    u, v = pose.apply(canvas)
    bore = between(rng, 0.3, 0.7)
    distance = shapes.without(shapes.disc(u, v, 0.95), shapes.disc(u, v, bore))
    if chance(rng, 0.2):
        distance = shapes.without(distance, shapes.box(u - 0.8, v + u * 0.2, 0.6, between(rng, 0.02, 0.06)))
    surface = _metal(rng, canvas, pose) if chance(rng, 0.75) else metal.rubber(rng, canvas)
    place(rng, scene, pose, distance, surface, edge=between(rng, 0.03, 0.1), rise=between(rng, 0.03, 0.08))
    if chance(rng, 0.4):
        step = shapes.disc(u, v, between(rng, bore + 0.05, 0.85))
        scene.height += coverage(step, 0.05) * (distance < 0) * np.float32(0.02)
    return scene


def gear(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """A toothed wheel with a bore, a hub, and often holes or spokes."""
    scene = empty_stage(rng, canvas)
    pose = drawn_pose(rng, 0.6, 0.92)
    u, v = pose.apply(canvas)
    teeth, depth = whole_number(rng, 9, 30), between(rng, 0.1, 0.2)
    distance = shapes.toothed(u, v, teeth, 0.88, depth, between(rng, 1.2, 3.0))
    bore = between(rng, 0.1, 0.25)
    distance = shapes.without(distance, shapes.disc(u, v, bore))
    hub = bore + between(rng, 0.08, 0.15)
    rim = between(rng, 0.55, 0.7)
    if chance(rng, 0.6):
        count, away = whole_number(rng, 3, 7), (hub + rim) / 2
        radius = (rim - hub) * between(rng, 0.3, 0.42)
        for hole in range(count):
            angle = 2 * math.pi * hole / count
            bored = shapes.disc(u - away * math.cos(angle), v - away * math.sin(angle), radius)
            distance = shapes.without(distance, bored)
    surface = _metal(rng, canvas, pose) if chance(rng, 0.75) else hard.paint_coat(rng, canvas)
    place(rng, scene, pose, distance, surface, edge=0.05, rise=0.06)
    web = coverage(np.maximum(shapes.disc(u, v, rim), hub - np.sqrt(u * u + v * v)), 0.04)
    scene.height -= web * np.float32(between(rng, 0.0, 0.05)) * scene.region
    scene.albedo *= (1 - web * scene.region * between(rng, 0.0, 0.15))[..., None]
    for tooth in rng.choice(teeth, 3, replace=False).tolist():
        at = pose.child(*_around(2 * math.pi * tooth / teeth, 0.93))
        area = canvas.window(at.x, at.y, 0.16 * pose.scale)
        a, b = at.apply(area)
        own = coverage(shapes.disc(a, b, 0.12), canvas.pixel / pose.scale)
        base = np.clip((np.sqrt(u * u + v * v)[area.rows, area.columns] - 0.86) * 30, 0, 1)
        scene.add_part(area, own * base * scene.region[area.rows, area.columns])
    return scene


def gasket(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """A round seal: a torus of rubber, metal or plastic; one ring or two inside each other."""
    scene = empty_stage(rng, canvas)
    pose = drawn_pose(rng, 0.5, 0.92)
    u, v = pose.apply(canvas)
    stretch = between(rng, 0.75, 1.0)
    half = between(rng, 0.05, 0.17)
    distance = shapes.ring(u, v / stretch, 0.9 - half, half) * stretch
    if chance(rng, 0.3) and half < 0.1:
        distance = np.minimum(distance, shapes.ring(u, v / stretch, 0.55, half) * stretch)
    surface = pick(rng, (metal.rubber, metal.rubber, metal.cast, hard.paint_coat))(rng, canvas)
    place(rng, scene, pose, distance, surface, edge=half, rise=half * 0.9, round_top=True)
    return scene


def bracket(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """A bent or stamped plate, L, T, U or flat, with drilled holes and a fold."""
    scene = empty_stage(rng, canvas)
    pose = drawn_pose(rng, 0.6, 0.9, upright=0.5)
    u, v = pose.apply(canvas)
    kind, arm, corner = int(rng.integers(4)), between(rng, 0.18, 0.35), between(rng, 0.02, 0.15)
    if kind == 0:
        distance = np.minimum(
            shapes.box(u, v - 0.85 + arm, 0.85, arm, corner), shapes.box(u + 0.85 - arm, v, arm, 0.85, corner)
        )
        holes = [(0.55, 0.85 - arm), (-0.85 + arm, -0.55), (-0.85 + arm, 0.85 - arm)]
    elif kind == 1:
        distance = np.minimum(
            shapes.box(u, v + 0.85 - arm, 0.85, arm, corner), shapes.box(u, v, arm, 0.85, corner)
        )
        holes = [(-0.6, -0.85 + arm), (0.6, -0.85 + arm), (0.0, 0.6)]
    elif kind == 2:
        distance = shapes.without(
            shapes.box(u, v, 0.85, 0.7, corner), shapes.box(u, v + 0.5, 0.85 - 1.6 * arm, 0.9, corner)
        )
        holes = [(-0.85 + 0.8 * arm, -0.45), (0.85 - 0.8 * arm, -0.45), (0.0, 0.55)]
    else:
        distance = shapes.box(u, v, 0.95, between(rng, 0.3, 0.6), between(rng, 0.02, 0.3))
        holes = [(-0.7, 0.0), (0.7, 0.0), (0.0, 0.0)]
    bore = arm * between(rng, 0.3, 0.55)
    drilled = holes[: whole_number(rng, 1, 3)]
    for x, y in drilled:
        distance = shapes.without(distance, shapes.disc(u - x, v - y, bore))
    surface = pick(rng, (metal.cast, metal.brushed, hard.paint_coat, hard.paint_coat))(rng, canvas)
    place(rng, scene, pose, distance, surface, edge=between(rng, 0.03, 0.08), rise=0.04)
    if chance(rng, 0.5):
        fold = u * between(rng, 0.3, 0.6) if chance(rng, 0.5) else v * between(rng, 0.3, 0.6)
        scene.height += np.abs(fold).astype(np.float32) * scene.region * 0.2 * pose.scale
    if chance(rng, 0.25):
        _stamp(rng, scene, pose)
    return scene


def _stamp(rng: np.random.Generator, scene: Scene, pose: Pose) -> None:
    """Engrave a short line of signs at the middle."""
    mark: Field = np.zeros_like(scene.height)
    glyphs.text_line(rng, scene.canvas, pose.child(0, 0, 0, between(rng, 0.1, 0.2)), 3, mark)
    mark *= scene.region
    scene.height -= mark * 0.01
    scene.albedo *= (1 - mark * 0.3)[..., None]


def _around(angle: float, radius: float) -> tuple[float, float]:
    return radius * math.cos(angle), radius * math.sin(angle)
