"""Bottles from above, brushes, candles, zippers, buttons, coins, tubes."""

from __future__ import annotations

import math

import numpy as np

from zsad_plugins.drawn.procedural import noise, shapes
from zsad_plugins.drawn.procedural.canvas import Canvas, Field, Pose, coverage, smoothstep
from zsad_plugins.drawn.procedural.chance import between, chance, pick, turn, whole_number
from zsad_plugins.drawn.procedural.colours import colour, drawn, grey, mixed, near
from zsad_plugins.drawn.procedural.families import glyphs
from zsad_plugins.drawn.procedural.materials import hard, metal, soft
from zsad_plugins.drawn.procedural.relief import bevelled, domed
from zsad_plugins.drawn.procedural.scene import Scene, Surface
from zsad_plugins.drawn.procedural.stage import drawn_pose, empty_stage, place
from zsad_plugins.drawn.procedural.strokes import stroke


def bottle(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """A bottle seen from above: rings of glass or plastic around a dark or bright mouth."""
    scene = empty_stage(rng, canvas)
    pose = drawn_pose(rng, 0.75, 0.97)
    u, v = pose.apply(canvas)
    radius = np.sqrt(u * u + v * v)
    base = drawn(rng, saturation=(0.05, 0.8), value=(0.08, 0.6))
    rings = noise.profile(rng, radius, whole_number(rng, 8, 16), 0.0, 1.0)
    glass = near(rng, np.clip(base * 1.6 + 0.1, 0, 1), 0.1)
    albedo = mixed(base, glass, np.clip(0.4 + 0.35 * rings, 0, 1))
    sheen = np.cos(np.arctan2(v, u) * float(whole_number(rng, 1, 3)) + turn(rng))
    albedo *= (1 + sheen * between(rng, 0.0, 0.2))[..., None]
    surface = Surface(albedo.astype(np.float32), rings * 0.012, between(rng, 0.4, 1.0))
    place(rng, scene, pose, radius - 0.96, surface, edge=0.25, rise=0.15, round_top=True)
    lip = between(rng, 0.45, 0.7)
    wall = shapes.ring(u, v, lip, between(rng, 0.04, 0.1))
    cover = coverage(wall, canvas.pixel / pose.scale)
    scene.paint(canvas, cover, glass, height=domed(wall, 0.07, 0.08) + 0.15, gloss=0.9)
    mouth = coverage(radius - lip + 0.05, canvas.pixel / pose.scale)
    depth = colour(between(rng, 0, 1), between(rng, 0, 0.5), pick(rng, (0.05, 0.12, 0.85)))
    scene.paint(canvas, mouth * between(rng, 0.7, 1.0), depth, gloss=0.2)
    inner = smoothstep(0.05, 0.0, np.abs(radius - lip * between(rng, 0.4, 0.75)))
    scene.albedo += (inner * between(rng, 0.02, 0.25))[..., None]
    return scene


def brush(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """A brush head from above: tufts of bristles in rows on a handle."""
    scene = empty_stage(rng, canvas)
    pose = drawn_pose(rng, 0.8, 0.97, upright=0.5)
    u, v = pose.apply(canvas)
    half = between(rng, 0.28, 0.5)
    distance = shapes.box(u, v, 0.93, half, half * between(rng, 0.3, 1.0))
    if chance(rng, 0.5):
        distance = shapes.joined(distance, shapes.box(u - 1.2, v, 0.6, half * 0.35, 0.05), 0.1)
    handle = hard.paint_coat(rng, canvas) if chance(rng, 0.7) else hard.wood(rng, canvas, pose.angle)
    place(rng, scene, pose, distance, handle, edge=0.15, rise=0.08)
    scene.remember_beneath()
    rows, columns = whole_number(rng, 3, 4), whole_number(rng, 6, 10)
    palette = [drawn(rng, saturation=(0, 0.9), value=(0.45, 1.0)) for _ in range(whole_number(rng, 1, 3))]
    for row in range(rows):
        for column in range(columns):
            x, y = (column - (columns - 1) / 2) * 1.7 / columns, (row - (rows - 1) / 2) * half * 1.75 / rows
            lean = (between(rng, -0.02, 0.02), between(rng, -0.02, 0.02))
            radius = min(0.85 / columns, half * 0.87 / rows) * between(rng, 0.92, 1.1)
            at = pose.child(x + lean[0], y + lean[1], turn(rng), radius)
            area = canvas.window(at.x, at.y, at.scale * 1.4)
            a, b = at.apply(area)
            rough = rng.standard_normal(a.shape, dtype=np.float32)
            shape = shapes.oval(a, b, 1.1, 0.95) + rough * 0.12
            cover = coverage(shape, canvas.pixel / at.scale)
            tint = palette[(row if len(palette) == 2 else column) % len(palette)]
            shade = np.clip(1.0 - 0.25 * np.sqrt(a * a + b * b) + rough * 0.22, 0.1, 1.3)
            height = (
                scene.height[area.rows, area.columns]
                + domed(shape, 0.9, at.scale * 0.4)
                + rough * (at.scale * 0.1)
            )
            scene.paint(area, cover, (tint * shade[..., None]).astype(np.float32), height=height, gloss=0.1)
            scene.add_part(area, cover)
    return scene


def candle(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """One to four round candles from above, wax discs with a wick."""
    scene = empty_stage(rng, canvas)
    pose = drawn_pose(rng, 0.7, 0.92, upright=0.5)
    base = drawn(rng, saturation=(0.0, 0.6), value=(0.55, 1.0))
    waves = noise.smooth(rng, canvas.size, 7)
    albedo = (base * (1 + waves * 0.015)[..., None]).astype(np.float32)
    surface = Surface(albedo, waves * between(rng, 0.001, 0.006), between(rng, 0.1, 0.6))
    single = chance(rng, 0.4)
    spots = [(0.0, 0.0)] if single else [(-0.48, -0.48), (0.48, -0.48), (-0.48, 0.48), (0.48, 0.48)]
    radius = 0.9 if single else 0.42
    u, v = pose.apply(canvas)
    distance = np.full_like(u, 9.0)
    for x, y in spots:
        np.minimum(distance, shapes.disc(u - x, v - y, radius), out=distance)
    place(rng, scene, pose, distance, surface, edge=radius * between(rng, 0.1, 0.3), rise=0.06)
    rim = smoothstep(0.035, 0.0, np.abs(distance + radius * between(rng, 0.12, 0.3))) * between(rng, 0.0, 1.0)
    scene.height += rim * np.float32(0.012)
    wick = np.zeros_like(u)
    scene.remember_beneath()
    for x, y in spots:
        start = pose.point(x, y)
        path = np.array([start, pose.child(x, y, turn(rng), radius * 0.35).point(1.0, 0.0)], dtype=np.float32)
        stroke(canvas, wick, path, np.full(2, 0.07 * radius * pose.scale, dtype=np.float32))
        area = canvas.window(*start, radius * 0.5 * pose.scale)
        scene.add_part(area, wick[area.rows, area.columns])
    scene.paint(
        canvas, wick, near(rng, grey(pick(rng, (0.1, 0.85, 0.6))), 0.05), height=wick * 0.05 + scene.height
    )
    return scene


def zipper(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """Two rows of teeth between bands of fabric, aligned with the frame."""
    angle = pick(rng, (0.0, math.pi / 2)) + between(rng, -0.04, 0.04)
    cloth = soft.woven(rng, canvas, angle)
    cloth.albedo = cloth.albedo * 0.4 + 0.6 * drawn(rng, saturation=(0, 0.7), value=(0.05, 0.8))
    scene = empty_stage(rng, canvas)
    along, across = noise.turned(canvas, angle)
    offset = between(rng, -0.15, 0.15)
    across = across - offset
    band = np.abs(across) - between(rng, 0.5, 0.8)
    # Not used, but it takes its share of the stream: what (seed, index) shows must not change.
    drawn_pose(rng)
    place(rng, scene, Pose(0.0, 0.0, angle, 1.0), band, cloth, edge=0.03, rise=0.01)
    scene.remember_beneath()
    pitch, reach = between(rng, 0.07, 0.16), between(rng, 0.09, 0.2)
    side = np.sign(across)
    phase = np.mod(along + 0.25 * pitch * side, pitch) - pitch / 2
    shape = np.maximum(np.abs(phase) - pitch * 0.24, np.abs(across - side * reach * 0.35) - reach * 0.65)
    cover = coverage(shape, canvas.pixel)
    tint = metal.metal_colour(rng) if chance(rng, 0.6) else drawn(rng, saturation=(0, 0.8), value=(0.1, 0.9))
    height = scene.height + bevelled(shape, pitch * 0.2, 0.03)
    scene.paint(canvas, cover, tint, height=height, gloss=between(rng, 0.2, 0.9))
    for _ in range(4):
        middle, which = between(rng, -0.75, 0.75), pick(rng, (-1.0, 1.0))
        count = whole_number(rng, 1, 2)
        start = math.floor(middle / pitch) * pitch - 0.25 * pitch * which
        inside = (along > start) & (along < start + pitch * count) & (across * which > -reach * 0.3)
        scene.add_part(canvas, cover * inside.astype(np.float32))
    if chance(rng, 0.5):
        seam = np.abs(np.abs(across) - between(rng, 0.3, 0.45)) - 0.012
        dashes = coverage(np.maximum(seam, np.abs(np.mod(along, 0.12) - 0.06) - 0.04), canvas.pixel)
        scene.paint(canvas, dashes, drawn(rng, saturation=(0, 0.6)))
    return scene


def button(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """A button with a rim and two or four holes: horn, plastic, wood, pearl."""
    scene = empty_stage(rng, canvas)
    pose = drawn_pose(rng, 0.55, 0.9)
    u, v = pose.apply(canvas)
    radius = np.sqrt(u * u + v * v)
    surface = pick(rng, (hard.paint_coat, hard.paint_coat, hard.marble, hard.wood))(rng, canvas)
    distance: Field = radius - 0.92
    holes, away, bore = pick(rng, (2, 4)), between(rng, 0.18, 0.28), between(rng, 0.07, 0.11)
    for hole in range(holes):
        angle = 2 * math.pi * hole / holes
        bored = shapes.disc(u - away * math.cos(angle), v - away * math.sin(angle), bore)
        distance = shapes.without(distance, bored)
    place(rng, scene, pose, distance, surface, edge=0.08, rise=0.07)
    rim = between(rng, 0.6, 0.8)
    dish = smoothstep(rim + 0.06, rim - 0.06, radius) * scene.region
    scene.height -= dish * np.float32(between(rng, 0.02, 0.05) * pose.scale)
    return scene


def coin(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """A coin or medal: milled rim, raised portrait-like form, signs around."""
    scene = empty_stage(rng, canvas)
    pose = drawn_pose(rng, 0.65, 0.93)
    u, v = pose.apply(canvas)
    radius = np.sqrt(u * u + v * v)
    sides = pick(rng, (0, 0, 0, 7, 12))
    distance = radius - 0.95 if sides == 0 else shapes.polygon(u, v, sides, 0.93, 0.1)
    surface = metal.cast(rng, canvas)
    place(rng, scene, pose, distance, surface, edge=0.03, rise=0.04)
    relief = smoothstep(0.03, 0.0, np.abs(distance + 0.06))
    head = shapes.joined(
        shapes.oval(u + 0.02, v + 0.12, between(rng, 0.22, 0.34), between(rng, 0.26, 0.4)),
        shapes.oval(u, v - 0.4, between(rng, 0.3, 0.45), 0.2),
        0.1,
    )
    form = coverage(np.maximum(head, radius - 0.62), 0.08)
    features = noise.banded(rng, canvas.size, between(rng, 8, 16), width=0.5) * form
    relief = np.maximum(relief, form * 0.7) + features * 0.12
    signs = np.zeros_like(u)
    count = whole_number(rng, 8, 16)
    for sign in range(count):
        angle = 2 * math.pi * sign / count
        at = pose.child(0.76 * math.cos(angle), 0.76 * math.sin(angle), angle + math.pi / 2, 0.13)
        glyphs.text_line(rng, canvas, at, 0.8, signs)
    relief = np.maximum(relief, signs)
    scene.height += (relief * scene.region * between(rng, 0.015, 0.035) * pose.scale).astype(np.float32)
    scene.albedo *= (1 + (relief - 0.3) * scene.region * between(rng, 0.0, 0.3))[..., None]
    return scene


def tube(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """One or several straight tubes side by side, hollow ends, metal or plastic."""
    scene = empty_stage(rng, canvas)
    pose = drawn_pose(rng, 0.8, 1.0, upright=0.4)
    u, _ = pose.apply(canvas)
    count = whole_number(rng, 1, 4)
    half = min(0.3, 0.75 / count) * between(rng, 0.7, 1.0)
    distance, sides, mouths = np.full_like(u, 9.0), np.full_like(u, 9.0), np.zeros_like(u)
    for number in range(count):
        shift = between(rng, -0.15, 0.15)
        own = pose.child(shift, (number - (count - 1) / 2) * half * 2.2, between(rng, -0.03, 0.03))
        a, b = own.apply(canvas)
        np.minimum(distance, shapes.box(a, b, 0.8, half, 0.02), out=distance)
        np.minimum(sides, np.abs(b) - half, out=sides)
        np.maximum(mouths, coverage(shapes.oval(a - 0.78, b, half * 0.35, half * 0.8), 0.03), out=mouths)
    surface = pick(rng, (metal.brushed, metal.cast, hard.paint_coat, metal.rubber))(rng, canvas)
    place(rng, scene, pose, distance, surface, edge=half, rise=half, round_top=True, form=sides)
    scene.albedo *= (1 - mouths * scene.region * between(rng, 0.4, 0.85))[..., None]
    return scene
