"""Labels, printed patterns, and made-up parts put together from simple solids."""

from __future__ import annotations

import math

import numpy as np

from zsad_plugins.drawn.procedural import noise, shapes
from zsad_plugins.drawn.procedural.canvas import Canvas, Field, Pose, coverage
from zsad_plugins.drawn.procedural.chance import between, chance, pick, turn, whole_number
from zsad_plugins.drawn.procedural.colours import contrasting, drawn, plain
from zsad_plugins.drawn.procedural.families import glyphs
from zsad_plugins.drawn.procedural.materials import hard, metal, soft
from zsad_plugins.drawn.procedural.relief import bevelled
from zsad_plugins.drawn.procedural.scene import Scene, Surface, full_frame
from zsad_plugins.drawn.procedural.stage import drawn_pose, empty_stage, place


def label(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """A sticker or card with lines of signs, an emblem, a bar code."""
    scene = empty_stage(rng, canvas)
    pose = drawn_pose(rng, 0.8, 1.0, upright=0.6)
    u, v = pose.apply(canvas)
    high = between(rng, 0.5, 0.9)
    paper = soft.felt(rng, canvas) if chance(rng, 0.5) else hard.paint_coat(rng, canvas)
    place(rng, scene, pose, shapes.box(u, v, 0.95, high, between(rng, 0.0, 0.2)), paper, edge=0.02, rise=0.01)
    base = paper.albedo[canvas.size // 2, canvas.size // 2]
    first = np.zeros_like(u)
    rows = whole_number(rng, 3, 6)
    for row in range(rows):
        y = (row - (rows - 1) / 2) * 1.7 * high / rows
        scale = between(rng, 0.5, 0.8) * 1.4 * high / rows
        at = pose.child(between(rng, -0.15, 0.15), y, 0.0, scale)
        if chance(rng, 0.2):
            glyphs.barcode(rng, canvas, pose.child(0.0, y, 0.0, scale), first)
        else:
            glyphs.text_line(rng, canvas, at, between(rng, 0.4, 0.8) * 1.8 / scale, first)
    scene.print_on(first * scene.region, contrasting(rng, base, 0.35))
    if chance(rng, 0.6):
        second = np.zeros_like(u)
        spot = pose.child(
            between(rng, -0.6, 0.6), between(rng, -0.5, 0.5) * high, turn(rng), between(rng, 0.15, 0.3)
        )
        glyphs.emblem(rng, canvas, spot, second)
        scene.print_on(second * scene.region, contrasting(rng, base, 0.25))
    return scene


def printed_pattern(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """Wallpaper, decorated cloth, packaging: a motif repeated on a lattice, stripes or dots."""
    material = pick(rng, (soft.felt, soft.felt, hard.paint_coat, soft.woven))(rng, canvas)
    if material.albedo.std() > 0.1:
        material.albedo = material.albedo * 0.3 + 0.7 * material.albedo.mean(axis=(0, 1))
    pose = Pose(
        between(rng, -0.2, 0.2), between(rng, -0.2, 0.2), pick(rng, (0.0, math.pi / 4, turn(rng))), 1.0
    )
    scene = full_frame(canvas, material, pose.angle)
    base = material.albedo.mean(axis=(0, 1))
    u, v = pose.apply(canvas)
    for _ in range(whole_number(rng, 1, 2)):
        ink = _lattice(rng, u, v, canvas.pixel)
        scene.print_on(ink * np.float32(between(rng, 0.7, 1.0)), contrasting(rng, base, 0.22))
    return scene


def _lattice(rng: np.random.Generator, u: Field, v: Field, pixel: float) -> Field:
    """Return the ink of one repeated motif, [S, S]."""
    pitch = between(rng, 0.16, 0.5)
    row = np.floor(v / pitch)
    shift = pitch * 0.5 * np.mod(row, 2) if chance(rng, 0.5) else 0.0
    a = (np.mod(u + shift, pitch) - pitch / 2) / pitch
    b = (np.mod(v, pitch) - pitch / 2) / pitch
    kind = int(rng.integers(7))
    if kind == 0:
        distance = shapes.disc(a, b, between(rng, 0.12, 0.36))
    elif kind == 1:
        distance = shapes.ring(a, b, between(rng, 0.2, 0.36), between(rng, 0.03, 0.08))
    elif kind == 2:
        distance = np.abs(b) - between(rng, 0.06, 0.25)
    elif kind == 3:
        distance = shapes.polygon(a, b, whole_number(rng, 3, 6), between(rng, 0.15, 0.34))
    elif kind == 4:
        distance = np.minimum(np.abs(a), np.abs(b)) - between(rng, 0.03, 0.1)
    elif kind == 5:
        distance = shapes.toothed(a, b, whole_number(rng, 4, 8), 0.27, between(rng, 0.1, 0.25), 1.0)
    else:
        size = between(rng, 0.2, 0.38)
        distance = np.minimum(shapes.box(a, b, size, size * 0.3), shapes.box(a, b, size * 0.3, size))
    return coverage(distance, pixel / pitch)


def assembly(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """A made-up part: a random union of plates, discs and bars with holes, ribs and smaller parts on it."""
    scene = empty_stage(rng, canvas)
    pose = drawn_pose(rng, 0.7, 0.95, upright=0.5)
    u, v = pose.apply(canvas)
    distance = _random_solid(rng, u, v, between(rng, 0.45, 0.75))
    for _ in range(whole_number(rng, 1, 3)):
        a, b = pose.child(between(rng, -0.5, 0.5), between(rng, -0.5, 0.5), _turn(rng)).apply(canvas)
        distance = shapes.joined(
            distance, _random_solid(rng, a, b, between(rng, 0.25, 0.5)), between(rng, 0.005, 0.04)
        )
    for _ in range(whole_number(rng, 0, 3)):
        a, b = pose.child(between(rng, -0.5, 0.5), between(rng, -0.5, 0.5), turn(rng)).apply(canvas)
        distance = shapes.without(distance, _random_solid(rng, a, b, between(rng, 0.08, 0.2)))
    materials = (
        metal.cast,
        metal.brushed,
        hard.paint_coat,
        hard.paint_coat,
        metal.rubber,
        hard.wood,
        hard.baked,
    )
    surface = pick(rng, materials)(rng, canvas)
    edge = between(rng, 0.03, 0.2)
    place(rng, scene, pose, distance, surface, edge=edge, rise=edge * 0.6, round_top=chance(rng, 0.15))
    scene.remember_beneath()
    _fittings(rng, scene, pose)
    if chance(rng, 0.4):
        ink = np.zeros_like(u)
        glyphs.text_line(
            rng, canvas, pose.child(0, between(rng, -0.3, 0.3), 0, between(rng, 0.1, 0.2)), 4, ink
        )
        base = surface.albedo[canvas.size // 2, canvas.size // 2]
        scene.print_on(ink * scene.region, contrasting(rng, base, 0.3))
    return scene


def _turn(rng: np.random.Generator) -> float:
    """Return a turn as designers choose them: mostly right angles."""
    return pick(rng, (0.0, 0.0, math.pi / 2, math.pi / 4, turn(rng)))


def _fittings(rng: np.random.Generator, scene: Scene, pose: Pose) -> None:
    """Set equal small parts in a row or a circle on the body; each can be missing."""
    count, tint = whole_number(rng, 0, 6), drawn(rng, value=(0.1, 0.95))
    radius, away, in_ring = between(rng, 0.05, 0.12), between(rng, 0.25, 0.6), chance(rng, 0.5)
    for number in range(count):
        angle = 2 * math.pi * number / max(count, 1)
        x = away * math.cos(angle) if in_ring else (number - (count - 1) / 2) * radius * 3
        at = pose.child(x, away * math.sin(angle) if in_ring else 0.0, 0.0, radius)
        area = scene.canvas.window(at.x, at.y, at.scale * 1.3)
        a, b = at.apply(area)
        shape = shapes.disc(a, b, 1.0)
        cover = coverage(shape, scene.canvas.pixel / at.scale) * scene.region[area.rows, area.columns]
        height = scene.height[area.rows, area.columns] + bevelled(shape, 0.4, at.scale * 0.4)
        scene.paint(area, cover, tint, height=height, gloss=0.6)
        if cover.mean() > 0.2:
            scene.add_part(area, cover)


def _random_solid(rng: np.random.Generator, u: Field, v: Field, size: float) -> Field:
    kind = int(rng.integers(5))
    if kind == 0:
        return shapes.disc(u, v, size)
    if kind == 1:
        return shapes.box(u, v, size, size * between(rng, 0.3, 1.0), between(rng, 0.0, 0.2))
    if kind == 2:
        return shapes.polygon(u, v, whole_number(rng, 3, 8), size * 0.85, between(rng, 0.0, 0.1))
    if kind == 3:
        return shapes.oval(u, v, size, size * between(rng, 0.4, 0.9))
    return shapes.bar(u, v, (-size, 0.0), (size, between(rng, -0.3, 0.3)), size * between(rng, 0.25, 0.5))


def smooth_surface(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """A plain lacquered, plastic or paper surface from edge to edge, sometimes with one printed mark."""
    surface = hard.paint_coat(rng, canvas) if chance(rng, 0.7) else soft.felt(rng, canvas)
    if chance(rng, 0.3):
        bulge = noise.smooth(rng, canvas.size, 2)
        surface = Surface(surface.albedo, surface.height + bulge * 0.03, surface.gloss)
    scene = full_frame(canvas, surface, turn(rng))
    if chance(rng, 0.3):
        ink = np.zeros_like(scene.height)
        spot = Pose(between(rng, -0.6, 0.6), between(rng, -0.6, 0.6), 0.0, between(rng, 0.1, 0.3))
        if chance(rng, 0.5):
            glyphs.emblem(rng, canvas, spot, ink)
        else:
            glyphs.text_line(rng, canvas, spot, 3, ink)
        base = surface.albedo[canvas.size // 2, canvas.size // 2]
        scene.print_on(ink, contrasting(rng, base, 0.2))
    elif chance(rng, 0.2):
        edge = coverage(noise.turned(canvas, turn(rng))[1] - between(rng, -0.4, 0.4), canvas.pixel)
        scene.paint(canvas, edge, plain(canvas.size, drawn(rng)))
    return scene
