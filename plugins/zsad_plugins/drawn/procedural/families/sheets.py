"""Materials from edge to edge: leather, wood, carpet, fabric, grids, tiles, stone, roads, metal."""

from __future__ import annotations

import math

import numpy as np

from zsad_plugins.drawn.procedural import noise, shapes
from zsad_plugins.drawn.procedural.canvas import Canvas, Pose, coverage, smoothstep
from zsad_plugins.drawn.procedural.chance import between, by_ratio, chance, pick, turn, whole_number
from zsad_plugins.drawn.procedural.colours import drawn, grey, near
from zsad_plugins.drawn.procedural.families import glyphs
from zsad_plugins.drawn.procedural.materials import hard, metal, soft
from zsad_plugins.drawn.procedural.relief import bevelled, domed
from zsad_plugins.drawn.procedural.scene import Scene, full_frame


def leather(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """Leather, sometimes with a sewn seam."""
    scene = full_frame(canvas, soft.leather(rng, canvas), turn(rng))
    if chance(rng, 0.12):
        _seam(rng, scene)
    return scene


def _seam(rng: np.random.Generator, scene: Scene) -> None:
    """Add a row of stitches: regular, hence normal."""
    along, across = noise.turned(scene.canvas, turn(rng))
    across = np.abs(across - between(rng, -0.4, 0.4))
    pitch = between(rng, 0.08, 0.16)
    shape = shapes.box(np.mod(along, pitch) - pitch / 2, across, pitch * 0.34, 0.014, 0.01)
    scene.height -= smoothstep(0.06, 0.0, across) * np.float32(0.02)
    height = scene.height + domed(shape, 0.014, 0.02)
    scene.paint(
        scene.canvas, coverage(shape, scene.canvas.pixel), drawn(rng, value=(0.3, 0.95)), height=height
    )


def wood(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """A board, or several boards with joints."""
    angle = pick(rng, (0.0, math.pi / 2, turn(rng)))
    surface = hard.wood(rng, canvas, angle)
    if chance(rng, 0.25):
        _, across = noise.turned(canvas, angle)
        pitch = between(rng, 0.35, 0.9)
        number = np.floor(across / pitch + between(rng, 0, 1))
        tones = (1 + rng.normal(0, 0.06, 64)).astype(np.float32)
        surface.albedo *= tones[number.astype(int) % 64][..., None]
        fraction = across / pitch + 8
        joint = smoothstep(0.02, 0.0, np.abs(fraction - np.round(fraction)) * pitch)
        surface.albedo *= (1 - 0.6 * joint)[..., None]
        surface.height -= joint * np.float32(0.02)
    return full_frame(canvas, surface, angle)


def carpet(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """Carpet."""
    return full_frame(canvas, soft.carpet(rng, canvas), turn(rng))


def fabric(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """Woven cloth, sometimes in soft folds."""
    angle = turn(rng)
    surface = soft.woven(rng, canvas, angle)
    if chance(rng, 0.25):
        surface.height = surface.height + noise.smooth(rng, canvas.size, 3) * np.float32(
            between(rng, 0.02, 0.06)
        )
    return full_frame(canvas, surface, angle)


def grid(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """A wire mesh: square or diamond, in front of a ground; single wires can be missing."""
    ground = pick(rng, (hard.dull, hard.dull, soft.felt, metal.rolled))(rng, canvas)
    scene = full_frame(canvas, ground)
    pose = Pose(
        between(rng, -0.1, 0.1), between(rng, -0.1, 0.1), pick(rng, (0.0, math.pi / 4, turn(rng))), 1.0
    )
    pitch, slant = between(rng, 0.12, 0.4), between(rng, 0.6, 1.0)
    half = pitch * between(rng, 0.07, 0.2)
    sway = noise.smooth(rng, canvas.size, 3) * between(rng, 0.0, 0.012)
    u, v = pose.apply(canvas)
    u, v = u + sway, (v + sway) / slant
    first = np.abs(np.mod(u, pitch) - pitch / 2) - half
    second = np.abs(np.mod(v, pitch) - pitch / 2) - half
    if chance(rng, 0.2):
        near_seed, next_seed, _ = noise.cells(rng, u / pitch + 32, v / pitch + 32, 0.0)
        first, second = (next_seed - near_seed) * pitch - half, np.full_like(u, 9.0)
    distance = np.minimum(first, second)
    cover = coverage(distance, canvas.pixel)
    surface = pick(rng, (metal.cast, metal.rubber, hard.paint_coat))(rng, canvas)
    shade = smoothstep(half * 2, 0.0, np.abs(distance)) * between(rng, 0.0, 0.5)
    scene.albedo *= (1 - shade)[..., None]
    scene.remember_beneath()
    scene.paint(canvas, cover, surface.albedo, height=domed(distance, half, half), gloss=surface.gloss)
    for _ in range(5):
        column, row = whole_number(rng, -2, 2), whole_number(rng, -2, 2)
        along = np.abs(v - row * pitch) - pitch * 0.5
        own = np.maximum(np.abs(u - (column + 0.5) * pitch) - half * 1.3, along)
        scene.add_part(canvas, coverage(own, canvas.pixel))
    scene.angle = pose.angle
    return scene


def tile(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """Glazed or speckled tile, one from edge to edge or several with joints."""
    surface = pick(rng, (hard.terrazzo, hard.terrazzo, hard.marble, hard.paint_coat))(rng, canvas)
    scene = full_frame(canvas, surface)
    if chance(rng, 0.45):
        pose = Pose(between(rng, -0.4, 0.4), between(rng, -0.4, 0.4), pick(rng, (0.0, turn(rng))), 1.0)
        u, v = pose.apply(canvas)
        pitch, ratio, half = between(rng, 0.45, 1.3), pick(rng, (1.0, 1.0, 0.5)), between(rng, 0.01, 0.04)
        row = np.floor(v / (pitch * ratio))
        u = u + (np.mod(row, 2) * pitch * 0.5 if ratio < 1 else 0.0)
        column = np.floor(u / pitch)
        a, b = u - (column + 0.5) * pitch, v - (row + 0.5) * pitch * ratio
        distance = shapes.box(a, b, pitch / 2 - half, pitch * ratio / 2 - half, 0.02)
        tones = (1 + rng.normal(0, 0.04, 97)).astype(np.float32)
        scene.albedo *= tones[(column * 7 + row * 13).astype(int) % 97][..., None]
        joint = 1 - coverage(distance, canvas.pixel)
        scene.height += bevelled(distance, 0.04, 0.02)
        scene.paint(
            canvas, joint, near(rng, grey(between(rng, 0.2, 0.85)), 0.05), height=scene.height * 0, gloss=0.0
        )
        scene.angle = pose.angle
    return scene


def stone(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """Marble or granite slab."""
    return full_frame(canvas, pick(rng, (hard.marble, hard.marble, hard.terrazzo))(rng, canvas), turn(rng))


def concrete(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """Concrete or plaster wall, sometimes with a mould line."""
    scene = full_frame(canvas, hard.concrete(rng, canvas), turn(rng))
    if chance(rng, 0.2):
        _joint(rng, scene)
    return scene


def _joint(rng: np.random.Generator, scene: Scene) -> None:
    """Add a straight joint from edge to edge: straight, hence normal."""
    angle = pick(rng, (0.0, math.pi / 2)) + between(rng, -0.1, 0.1)
    _, across = noise.turned(scene.canvas, angle)
    line = smoothstep(between(rng, 0.015, 0.04), 0.0, np.abs(across - between(rng, -0.7, 0.7)))
    scene.albedo *= (1 - line * between(rng, 0.2, 0.6))[..., None]
    scene.height -= line * np.float32(0.015)


def road(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """Asphalt from above, with tyre tracks, lane paint or a slab joint now and then."""
    scene = full_frame(canvas, hard.asphalt(rng, canvas), turn(rng))
    angle = pick(rng, (0.0, math.pi / 2)) + between(rng, -0.15, 0.15)
    _, across = noise.turned(scene.canvas, angle)
    track = noise.profile(rng, across, 6, -2, 2)
    scene.albedo *= (1 + track * between(rng, 0.0, 0.05))[..., None]
    if chance(rng, 0.2):
        # Old oil and water marks of a road are faint, large and soft: part of a normal road.
        damp = smoothstep(0.3, 1.2, noise.fractal(rng, canvas.size, 3, 2))
        scene.albedo *= (1 - damp * between(rng, 0.03, 0.15))[..., None]
    if chance(rng, 0.2):
        worn = noise.banded(rng, canvas.size, 40, width=0.8)
        stripe = coverage(np.abs(across - between(rng, -0.7, 0.7)) - between(rng, 0.05, 0.12), canvas.pixel)
        stripe *= smoothstep(-1.6, -0.6, worn) * between(rng, 0.5, 0.95)
        scene.paint(canvas, stripe, near(rng, grey(0.85), 0.08))
    if chance(rng, 0.15):
        _joint(rng, scene)
    scene.grey = chance(rng, 0.25)
    return scene


def metal_sheet(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """A brushed or painted plate, sometimes with drilled holes or an embossed line."""
    surface = metal.brushed(rng, canvas) if chance(rng, 0.6) else metal.cast(rng, canvas)
    if chance(rng, 0.25):
        surface = hard.paint_coat(rng, canvas)
    scene = full_frame(canvas, surface, turn(rng))
    if chance(rng, 0.3):
        x, y, radius = between(rng, -0.7, 0.7), between(rng, -0.7, 0.7), between(rng, 0.06, 0.2)
        for side_x, side_y in ((x, y), (-x, y), (x, -y), (-x, -y))[: whole_number(rng, 1, 4)]:
            distance = shapes.disc(canvas.x - side_x, canvas.y - side_y, radius)
            scene.height += bevelled(-distance, 0.03, 0.02) - 0.02
            scene.paint(canvas, coverage(distance, canvas.pixel), grey(between(rng, 0.02, 0.15)), gloss=0.0)
    return scene


def steel(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """Hot-rolled strip as a line camera sees it."""
    scene = full_frame(canvas, metal.rolled(rng, canvas), turn(rng))
    scene.grey, scene.flat = True, chance(rng, 0.5)
    return scene


def magnetic_tile(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """Ground ferrite in grey: a stretch of it, or a tile with its chamfers and dark surroundings."""
    scene = full_frame(canvas, metal.ground(rng, canvas), turn(rng))
    if chance(rng, 0.25):
        _harmless_marks(rng, scene)
    if chance(rng, 0.4):
        _, across = noise.turned(canvas, pick(rng, (0.0, math.pi / 2)) + between(rng, -0.05, 0.05))
        edge = between(rng, 0.45, 0.85)
        outside = smoothstep(edge, edge + between(rng, 0.01, 0.06), np.abs(across))
        scene.paint(canvas, outside, grey(between(rng, 0.02, 0.35)))
        rim = smoothstep(0.03, 0.0, np.abs(np.abs(across) - edge))
        scene.albedo += (rim * between(rng, -0.05, 0.2))[..., None]
        scene.region = np.ascontiguousarray(1 - outside)
    scene.grey, scene.flat = True, chance(rng, 0.6)
    return scene


def _harmless_marks(rng: np.random.Generator, scene: Scene) -> None:
    """Add what belongs to a tile without being a defect: a faint number, a chalk cross, a smear of light."""
    mark = np.zeros_like(scene.height)
    spot = Pose(
        between(rng, -0.5, 0.5), between(rng, -0.5, 0.5), between(rng, -0.2, 0.2), between(rng, 0.06, 0.12)
    )
    if chance(rng, 0.5):
        glyphs.text_line(rng, scene.canvas, spot, whole_number(rng, 2, 3), mark)
    else:
        glyphs.emblem(rng, scene.canvas, spot, mark)
    scene.albedo += (mark * between(rng, -0.06, 0.08))[..., None]


def mat(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """A profiled rubber or plastic mat: ribs, studs or waves at one pitch."""
    surface = metal.rubber(rng, canvas) if chance(rng, 0.6) else hard.paint_coat(rng, canvas)
    angle = pick(rng, (0.0, math.pi / 2, turn(rng)))
    along, across = noise.turned(canvas, angle)
    count = by_ratio(rng, 5, 24)
    wave = np.cos(across * count * math.pi)
    if chance(rng, 0.4):
        wave = np.minimum(wave, np.cos(along * count * math.pi * between(rng, 0.5, 1.0)))
    form = np.clip(wave * between(rng, 1.0, 4.0), -1, 1)
    surface.height = surface.height + (form * between(rng, 0.1, 0.35) / count).astype(np.float32)
    surface.albedo *= (1 + form * between(rng, 0.0, 0.15))[..., None]
    return full_frame(canvas, surface, angle)
