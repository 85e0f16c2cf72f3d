"""Circuit boards, film of conductors, transistors, connectors, cables."""

from __future__ import annotations

import math

import numpy as np

from zsad_plugins.drawn.procedural import noise, shapes
from zsad_plugins.drawn.procedural.canvas import Canvas, Field, Pose, coverage
from zsad_plugins.drawn.procedural.chance import between, by_ratio, chance, pick, turn, whole_number
from zsad_plugins.drawn.procedural.colours import colour, drawn, grey, near, plain
from zsad_plugins.drawn.procedural.families import glyphs
from zsad_plugins.drawn.procedural.materials import hard, metal
from zsad_plugins.drawn.procedural.relief import bevelled, domed
from zsad_plugins.drawn.procedural.scene import Scene, Surface, full_frame
from zsad_plugins.drawn.procedural.stage import drawn_pose, empty_stage, place
from zsad_plugins.drawn.procedural.strokes import stroke

_STEPS = ((1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1))


def _route(rng: np.random.Generator, grid: int, length: int) -> Field:
    """Return a conductor's corners on a grid, turning by 45 degrees, in plane units."""
    x, y = whole_number(rng, 0, grid), whole_number(rng, 0, grid)
    heading = 2 * whole_number(rng, 0, 3)
    points = [(x, y)]
    for _ in range(length):
        run = whole_number(rng, 1, 4)
        dx, dy = _STEPS[heading % 8]
        x, y = x + dx * run, y + dy * run
        points.append((x, y))
        heading += pick(rng, (-1, 1, 0))
    return (np.array(points, dtype=np.float32) / grid * 2 - 1).astype(np.float32)


def conductors(rng: np.random.Generator, canvas: Canvas, pose: Pose, count: int, width: float) -> Field:
    """Return the cover of conductors with pads at their ends, [S, S]."""
    cover = np.zeros((canvas.size, canvas.size), dtype=np.float32)
    grid = whole_number(rng, 14, 26)
    for _ in range(count):
        path = _route(rng, grid, whole_number(rng, 1, 4))
        placed = np.array([pose.point(x, y) for x, y in path.tolist()], dtype=np.float32)
        wide = width * between(rng, 0.8, 1.3)
        stroke(canvas, cover, placed, np.full(len(placed), wide, dtype=np.float32))
        for x, y in (placed[0].tolist(), placed[-1].tolist()):
            pad = wide * between(rng, 0.7, 1.3)
            area = canvas.window(x, y, pad * 1.2)
            block = cover[area.rows, area.columns]
            np.maximum(block, coverage(shapes.disc(area.x - x, area.y - y, pad), canvas.pixel), out=block)
    return cover


def circuit_film(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """A close view of conductors as a scanner sees them: two tones, no light and shade."""
    size = canvas.size
    pose = Pose(0, 0, pick(rng, (0.0, math.pi / 2, math.pi / 4)), between(rng, 1.0, 1.25))
    width = by_ratio(rng, 0.02, 0.14)
    cover = conductors(rng, canvas, pose, whole_number(rng, 3, max(4, round(0.5 / width))), width)
    u, v = pose.apply(canvas)
    for _ in range(whole_number(rng, 0, 3)):
        cover = np.maximum(cover, _tracks(rng, u, v, canvas.pixel, min(width, 0.05) * between(rng, 0.6, 1.0)))
    for _ in range(whole_number(rng, 0, 2)):
        cover = np.maximum(cover, _pad_rows(rng, u, v, canvas.pixel))
    for _ in range(whole_number(rng, 1, 4) if chance(rng, 0.6) else 0):
        x, y = between(rng, -0.8, 0.8), between(rng, -0.8, 0.8)
        side = by_ratio(rng, 0.08, 0.6)
        corner = side * between(rng, 0.02, 0.4)
        land = coverage(shapes.box(u - x, v - y, side, side * between(rng, 0.4, 1.0), corner), canvas.pixel)
        cover = np.maximum(cover, land)
    drill = np.zeros_like(cover)
    for _ in range(whole_number(rng, 0, 10)):
        x, y, radius = between(rng, -1, 1), between(rng, -1, 1), between(rng, 0.02, 0.05)
        area = canvas.window(x, y, radius * 2.4)
        away = shapes.disc(area.x - x, area.y - y, 0.0)
        block, bored = cover[area.rows, area.columns], drill[area.rows, area.columns]
        np.maximum(block, coverage(away - radius * 1.9, canvas.pixel), out=block)
        np.maximum(bored, coverage(away - radius, canvas.pixel), out=bored)
    cover *= 1 - drill
    binary = chance(rng, 0.65)
    back = grey(between(rng, 0.0, 0.08)) if binary else drawn(rng, (0.25, 0.6), (0.2, 0.8), (0.1, 0.5))
    front = grey(between(rng, 0.9, 1.0)) if binary else drawn(rng, (0.05, 0.4), (0.0, 0.7), (0.55, 0.98))
    if chance(rng, 0.5):
        back, front = front, back
    albedo = plain(size, back)
    scene = full_frame(canvas, Surface(albedo, np.zeros((size, size), dtype=np.float32), 0.0), pose.angle)
    scene.beneath = (scene.albedo.copy(), scene.height)
    scene.blank = scene.albedo.copy()
    scene.albedo += cover[..., None] * (front - scene.albedo)
    scene.ink, scene.ink_colour = cover, front
    scene.accents, scene.flat, scene.grey = [front, back], True, binary
    _breaks(rng, scene, cover, width)
    return scene


def _tracks(rng: np.random.Generator, u: Field, v: Field, pixel: float, width: float) -> Field:
    """Return a bundle of parallel conductors, straight or with one bend of 45 degrees."""
    pitch = width * between(rng, 1.8, 3.5)
    if chance(rng, 0.5):
        u, v = v, u
    if chance(rng, 0.6):
        v = v + np.clip(u - between(rng, -0.5, 0.5), 0, between(rng, 0.1, 0.6)) * pick(rng, (-1.0, 1.0))
    tracks: Field = coverage(np.abs(np.mod(v, pitch) - pitch / 2) - width / 2, pixel)
    start, left = between(rng, -0.9, 0.5), between(rng, -1.4, 0.2)
    high = pitch * whole_number(rng, 3, 9)
    start = pitch * round(start / pitch)
    inside = (v > start) & (v < start + high) & (u > left) & (u < left + between(rng, 0.5, 2.0))
    return tracks * inside


def _pad_rows(rng: np.random.Generator, u: Field, v: Field, pixel: float) -> Field:
    """Return rows of round or long pads, some with a bore."""
    pitch = by_ratio(rng, 0.08, 0.35)
    x, y = between(rng, -0.8, 0.2), between(rng, -0.8, 0.8)
    columns, rows = whole_number(rng, 3, 10), whole_number(rng, 1, 2)
    stretch = between(rng, 1.0, 2.2)
    a = np.mod(u - x, pitch) - pitch / 2
    b = np.mod(v - y, pitch * stretch) - pitch * stretch / 2
    radius = pitch * between(rng, 0.28, 0.4)
    pad = shapes.box(a, b, radius, radius * stretch, radius if chance(rng, 0.7) else 0.0)
    if chance(rng, 0.4):
        pad = shapes.without(pad, shapes.disc(a, b, radius * between(rng, 0.3, 0.6)))
    inside = (u > x) & (u < x + columns * pitch) & (v > y) & (v < y + rows * pitch * stretch)
    return coverage(pad, pixel) * inside


def _breaks(rng: np.random.Generator, scene: Scene, cover: Field, width: float) -> None:
    """Note places where a conductor can be interrupted or nibbled."""
    inside = np.flatnonzero(cover > 0.9)
    for index in rng.choice(inside, min(6, len(inside)), replace=False).tolist() if len(inside) else []:
        row, column = divmod(int(index), scene.canvas.size)
        x, y = float(scene.canvas.x[row, column]), float(scene.canvas.y[row, column])
        radius = width * between(rng, 0.5, 1.2)
        area = scene.canvas.window(x, y, radius * 1.5)
        shape = shapes.oval(area.x - x, area.y - y, radius, radius * between(rng, 0.7, 1.4))
        scene.add_part(area, coverage(shape, scene.canvas.pixel) * cover[area.rows, area.columns])


def circuit_board(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """A populated board: lacquer, conductors, chips, capacitors, resistors, solder, white marks."""
    whole_frame = chance(rng, 0.4)
    pose = (
        Pose(0, 0, pick(rng, (0.0, math.pi / 2)), 1.15) if whole_frame else drawn_pose(rng, 0.75, 0.92, 0.6)
    )
    hue = pick(rng, (0.38, 0.38, 0.33, 0.6, 0.02, 0.75))
    lacquer = colour(hue + between(rng, -0.04, 0.04), between(rng, 0.4, 0.95), between(rng, 0.15, 0.55))
    weave = noise.banded(rng, canvas.size, 50, width=0.8) * 0.02
    surface = Surface(
        (lacquer * (1 + weave)[..., None]).astype(np.float32), weave * 0.01, between(rng, 0.1, 0.5)
    )
    ratio = between(rng, 0.65, 1.0)
    if whole_frame:
        scene = full_frame(canvas, surface, pose.angle)
    else:
        scene = empty_stage(rng, canvas)
        u, v = pose.apply(canvas)
        place(rng, scene, pose, shapes.box(u, v, 0.98, 0.98 * ratio, 0.03), surface, edge=0.02, rise=0.03)
    tracks = conductors(rng, canvas, pose, whole_number(rng, 6, 16), 0.022 * pose.scale) * scene.region
    scene.paint(canvas, tracks * 0.9, near(rng, np.clip(lacquer * 1.45 + 0.04, 0, 1), 0.03))
    scene.remember_beneath()
    count = whole_number(rng, 3, 5)
    for row in range(count):
        for column in range(count):
            if chance(rng, 0.22):
                continue
            x = (column - (count - 1) / 2) * 1.8 / count + between(rng, -0.05, 0.05)
            y = ((row - (count - 1) / 2) * 1.8 / count + between(rng, -0.05, 0.05)) * ratio
            at = pose.child(x, y, pick(rng, (0.0, math.pi / 2)), 0.75 / count * between(rng, 0.6, 1.0))
            pick(rng, (_chip, _resistor, _resistor, _capacitor, _pads))(rng, scene, at)
    ink = np.zeros_like(scene.height)
    for _ in range(whole_number(rng, 2, 5)):
        spot = pose.child(
            between(rng, -0.8, 0.8), between(rng, -0.8, 0.8) * ratio, 0.0, between(rng, 0.05, 0.09)
        )
        glyphs.text_line(rng, canvas, spot, whole_number(rng, 2, 4), ink)
    scene.print_on(ink * scene.region, grey(between(rng, 0.75, 0.98)))
    return scene


def _legs(rng: np.random.Generator, scene: Scene, at: Pose, reach: float) -> None:
    pixel = scene.canvas.pixel / at.scale
    area = scene.canvas.window(at.x, at.y, at.scale * 1.5)
    u, v = at.apply(area)
    pitch = between(rng, 0.18, 0.35)
    leg = np.abs(np.mod(u + pitch / 2, pitch) - pitch / 2) - pitch * 0.22
    shape = np.maximum(np.maximum(leg, np.abs(u) - 0.85), np.abs(v) - reach)
    cover = coverage(shape, pixel)
    height = scene.height[area.rows, area.columns] + bevelled(shape, 0.06, 0.05 * at.scale)
    scene.paint(area, cover, grey(between(rng, 0.6, 0.9)), height=height, gloss=0.8)


def _body(
    rng: np.random.Generator, scene: Scene, at: Pose, tint: Field, half: tuple[float, float], rise: float
) -> None:
    """Paint a block and note it as a removable part (its window includes the legs)."""
    area = scene.canvas.window(at.x, at.y, at.scale * 1.5)
    u, v = at.apply(area)
    shape = shapes.box(u, v, half[0], half[1], between(rng, 0.02, 0.1))
    cover = coverage(shape, scene.canvas.pixel / at.scale)
    height = scene.height[area.rows, area.columns] + bevelled(shape, 0.12, rise * at.scale)
    scene.paint(area, cover, tint, height=height, gloss=between(rng, 0.1, 0.6))
    gone = shapes.box(u, v, 1.1, half[1] + 0.35, 0.1)
    scene.add_part(area, coverage(gone, scene.canvas.pixel / at.scale))


def _chip(rng: np.random.Generator, scene: Scene, at: Pose) -> None:
    high = between(rng, 0.45, 0.7)
    _legs(rng, scene, at, high + 0.25)
    _body(rng, scene, at, grey(between(rng, 0.04, 0.2)), (0.95, high), 0.12)
    area = scene.canvas.window(*at.point(-0.75, -high + 0.2), at.scale * 0.15)
    u, v = at.apply(area)
    dot = coverage(shapes.disc(u + 0.75, v + high - 0.2, 0.08), scene.canvas.pixel / at.scale)
    scene.paint(area, dot, grey(between(rng, 0.3, 0.7)))


def _resistor(rng: np.random.Generator, scene: Scene, at: Pose) -> None:
    small = at.child(0, 0, 0, between(rng, 0.45, 0.75))
    _body(rng, scene, small, grey(between(rng, 0.7, 0.92)), (0.95, 0.45), 0.1)
    scene.parts.pop()
    tint = drawn(rng, (0.0, 0.15), (0.0, 0.6), (0.08, 0.75))
    _body(rng, scene, small, tint, (0.6, 0.45), 0.05)


def _capacitor(rng: np.random.Generator, scene: Scene, at: Pose) -> None:
    area = scene.canvas.window(at.x, at.y, at.scale)
    u, v = at.apply(area)
    shape = shapes.disc(u, v, between(rng, 0.5, 0.8))
    cover = coverage(shape, scene.canvas.pixel / at.scale)
    height = scene.height[area.rows, area.columns] + bevelled(shape, 0.2, 0.2 * at.scale)
    tint = grey(between(rng, 0.6, 0.85)) if chance(rng, 0.6) else drawn(rng, saturation=(0.3, 0.9))
    scene.paint(area, cover, tint, height=height, gloss=0.8)
    half_moon = cover * (u < -0.25)
    scene.paint(area, half_moon.astype(np.float32), grey(between(rng, 0.05, 0.25)))
    scene.add_part(area, cover)


def _pads(rng: np.random.Generator, scene: Scene, at: Pose) -> None:
    area = scene.canvas.window(at.x, at.y, at.scale * 1.2)
    u, v = at.apply(area)
    pitch = between(rng, 0.3, 0.5)
    a, b = np.mod(u, pitch) - pitch / 2, np.mod(v, pitch) - pitch / 2
    rows = between(rng, 0.25, 0.9)
    shape = np.maximum(shapes.disc(a, b, pitch * 0.33), shapes.box(u, v, 0.95, rows))
    cover = coverage(shape, scene.canvas.pixel / at.scale)
    height = scene.height[area.rows, area.columns] + domed(shape, 0.12, 0.1 * at.scale)
    scene.paint(area, cover, pick(rng, (grey(0.8), colour(0.12, 0.5, 0.8))), height=height, gloss=0.9)


def transistor(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """A black package with three metal legs, often on a perforated board."""
    scene = empty_stage(rng, canvas)
    if chance(rng, 0.5):
        pitch = between(rng, 0.12, 0.2)
        across, down = np.mod(canvas.x, pitch) - pitch / 2, np.mod(canvas.y, pitch) - pitch / 2
        dots = coverage(shapes.disc(across, down, pitch * 0.25), canvas.pixel)
        scene.albedo *= (1 - dots * between(rng, 0.3, 0.8))[..., None]
    pose = drawn_pose(rng, 0.65, 0.9, upright=0.7)
    u, v = pose.apply(canvas)
    legs = np.minimum(
        np.minimum(shapes.box(u, v - 0.45, 0.05, 0.5, 0.02), shapes.box(u - 0.26, v - 0.45, 0.05, 0.5, 0.02)),
        shapes.box(u + 0.26, v - 0.45, 0.05, 0.5, 0.02),
    )
    place(rng, scene, pose, legs, metal.cast(rng, canvas), edge=0.05, rise=0.04, round_top=True)
    scene.ground = (scene.ground or (scene.albedo, scene.height))[0].copy(), np.zeros_like(scene.height)
    for x in (-0.26, 0.0, 0.26):
        at = pose.child(x, 0.65)
        area = canvas.window(at.x, at.y, pose.scale * 0.35)
        left, low = at.apply(area)
        scene.add_part(area, coverage(shapes.box(left, low, 0.08, 0.32), canvas.pixel / pose.scale))
    body = shapes.box(u, v + 0.4, between(rng, 0.42, 0.6), between(rng, 0.38, 0.5), between(rng, 0.02, 0.25))
    case = metal.rubber(rng, canvas)
    case.albedo = case.albedo * np.float32(0.4)
    cover = coverage(body, canvas.pixel / pose.scale)
    height = bevelled(body, 0.1, 0.12 * pose.scale) + case.height
    scene.paint(canvas, cover, case.albedo, height=height, gloss=case.gloss, solid=True)
    ink = np.zeros_like(cover)
    glyphs.text_line(
        rng, canvas, pose.child(0, -0.45, 0, between(rng, 0.12, 0.18)), whole_number(rng, 3, 5), ink
    )
    scene.print_on(ink * cover, grey(between(rng, 0.55, 0.95)))
    return scene


def connector(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """A plastic housing with one or two rows of metal pins."""
    scene = empty_stage(rng, canvas)
    pose = drawn_pose(rng, 0.75, 0.95, upright=0.6)
    u, v = pose.apply(canvas)
    high = between(rng, 0.28, 0.55)
    housing = hard.paint_coat(rng, canvas) if chance(rng, 0.5) else metal.rubber(rng, canvas)
    distance = shapes.box(u, v, 0.92, high, between(rng, 0.02, 0.12))
    if chance(rng, 0.4):
        distance = np.minimum(distance, shapes.box(np.abs(u) - 0.9, v, 0.08, high * 0.5))
    place(rng, scene, pose, distance, housing, edge=0.05, rise=0.08)
    well = shapes.box(u, v, 0.82, high * 0.78, 0.04)
    inside = coverage(well, canvas.pixel / pose.scale)
    scene.paint(canvas, inside, housing.albedo * between(rng, 0.35, 0.7), height=housing.height, gloss=0.1)
    scene.remember_beneath()
    columns, rows = whole_number(rng, 4, 10), whole_number(rng, 1, 2)
    tint = pick(rng, (grey(0.78), colour(0.12, 0.55, 0.85), colour(0.11, 0.3, 0.75)))
    for row in range(rows):
        for column in range(columns):
            x, y = (column - (columns - 1) / 2) * 1.5 / columns, (row - (rows - 1) / 2) * high * 0.7
            at = pose.child(x, y, 0.0, 0.5 / columns * _pin_ratio(columns))
            area = canvas.window(at.x, at.y, at.scale * 1.6)
            a, b = at.apply(area)
            shape = shapes.box(a, b, 0.6, 1.1 if rows == 1 else 0.7, 0.15)
            cover = coverage(shape, canvas.pixel / at.scale)
            height = scene.height[area.rows, area.columns] + bevelled(shape, 0.5, 0.4 * at.scale)
            scene.paint(area, cover, tint, height=height, gloss=0.9)
            scene.add_part(area, cover)
    return scene


def _pin_ratio(columns: int) -> float:
    """Return the size of pins relative to their pitch: few pins, which lie far apart, are drawn smaller."""
    return 1.0 if columns > 5 else 0.85


def cable(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """A cable cut across (sheath, wires, copper strands), or a bundle of wires from the side."""
    return _cross_section(rng, canvas) if chance(rng, 0.6) else _bundle(rng, canvas)


def _cross_section(rng: np.random.Generator, canvas: Canvas) -> Scene:
    scene = empty_stage(rng, canvas)
    pose = drawn_pose(rng, 0.75, 0.95)
    u, v = pose.apply(canvas)
    sheath = metal.rubber(rng, canvas)
    place(rng, scene, pose, shapes.disc(u, v, 0.95), sheath, edge=0.06, rise=0.05)
    filling = drawn(rng, saturation=(0, 0.4), value=(0.05, 0.9))
    scene.paint(canvas, coverage(shapes.disc(u, v, 0.82), canvas.pixel / pose.scale), filling)
    scene.remember_beneath()
    count = pick(rng, (3, 3, 3, 4, 5))
    radius = 0.8 * math.sin(math.pi / count) / (1 + math.sin(math.pi / count)) * 0.97
    for wire in range(count):
        angle = 2 * math.pi * wire / count + between(rng, -0.05, 0.05)
        at = pose.child((0.8 - radius) * math.cos(angle), (0.8 - radius) * math.sin(angle), 0.0, radius)
        area = canvas.window(at.x, at.y, at.scale * 1.1)
        a, b = at.apply(area)
        pixel = canvas.pixel / at.scale
        shape = shapes.disc(a, b, 1.0)
        insulation = drawn(rng, saturation=(0.2, 1.0), value=(0.3, 0.95))
        scene.paint(area, coverage(shape, pixel), insulation, height=bevelled(shape, 0.15, 0.03), gloss=0.3)
        near_seed, _, _ = noise.cells(rng, a * 5.0 + 40, b * 5.0 + 40, 0.5)
        copper = near(rng, colour(0.06, 0.5, 0.8), 0.08) * (1.1 - 0.8 * near_seed)[..., None]
        strands = coverage(shapes.disc(a, b, between(rng, 0.55, 0.68)), pixel)
        scene.paint(
            area, strands, copper.astype(np.float32), height=0.04 - near_seed * 0.05 * at.scale, gloss=0.8
        )
        scene.add_part(area, coverage(shape, pixel))
    return scene


def _bundle(rng: np.random.Generator, canvas: Canvas) -> Scene:
    scene = empty_stage(rng, canvas)
    pose = drawn_pose(rng, 0.9, 1.3, upright=0.5)
    u, v = pose.apply(canvas)
    count = whole_number(rng, 3, 8)
    pitch = 1.3 / count
    sway = np.sin(u * between(rng, 0.5, 2.5) + turn(rng)) * between(rng, 0.0, 0.2)
    across = v + sway
    lane = np.clip(np.floor(across / pitch + count / 2), 0, count - 1)
    offset = across - (lane - (count - 1) / 2) * pitch
    half = pitch * between(rng, 0.36, 0.5)
    distance = np.abs(offset) - half
    tints = np.stack([drawn(rng, saturation=(0.0, 1.0), value=(0.1, 0.95)) for _ in range(count)])
    dirt = noise.fractal(rng, canvas.size, 6, 3) * 0.02
    albedo = (tints[lane.astype(int)] * (1 + dirt)[..., None]).astype(np.float32)
    surface = Surface(albedo, np.zeros_like(u), between(rng, 0.1, 0.7))
    place(rng, scene, pose, distance, surface, edge=half, rise=half, round_top=True)
    twist = np.sin(u * between(rng, 20, 60) + lane) * scene.region
    if chance(rng, 0.4):
        scene.height += (twist * 0.006).astype(np.float32)
    for number in range(count):
        middle = (number - (count - 1) / 2) * pitch
        cover = coverage(np.abs(across - middle) - half * 1.05, canvas.pixel / pose.scale)
        stretch = (np.abs(u - between(rng, -0.5, 0.5)) < between(rng, 0.15, 0.5)).astype(np.float32)
        scene.add_part(canvas, cover * stretch)
    return scene
