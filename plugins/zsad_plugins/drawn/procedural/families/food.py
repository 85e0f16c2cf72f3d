"""Biscuits, fryums, pasta, nuts."""

from __future__ import annotations

import math

import numpy as np

from zsad_plugins.drawn.procedural import noise, shapes
from zsad_plugins.drawn.procedural.canvas import Canvas, Field, Pose, coverage, smoothstep
from zsad_plugins.drawn.procedural.chance import between, chance, turn, whole_number
from zsad_plugins.drawn.procedural.colours import colour, drawn, mixed
from zsad_plugins.drawn.procedural.materials import hard
from zsad_plugins.drawn.procedural.scene import Scene, Surface
from zsad_plugins.drawn.procedural.stage import drawn_pose, empty_stage, place


def _lobes(rng: np.random.Generator, count: int, size: float) -> tuple[Field, Field]:
    amplitudes = rng.normal(0, size, count) / np.arange(1, count + 1) ** 0.5
    amplitudes[0] = 0
    return amplitudes.astype(np.float32), rng.uniform(0, 2 * math.pi, count).astype(np.float32)


def biscuit(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """A baked disc or square: browned rim, docking holes, chocolate chips or a scalloped edge."""
    scene = empty_stage(rng, canvas)
    pose = drawn_pose(rng, 0.6, 0.92)
    u, v = pose.apply(canvas)
    kind = int(rng.integers(3))
    if kind == 0:
        distance = shapes.lobed(u, v, 0.88, *_lobes(rng, 6, 0.012))
    elif kind == 1:
        distance = shapes.toothed(u, v, whole_number(rng, 16, 36), 0.9, between(rng, 0.03, 0.08), 1.0)
    else:
        distance = shapes.box(u, v, 0.88, between(rng, 0.55, 0.85), between(rng, 0.05, 0.25))
    surface = hard.baked(rng, canvas)
    browned = np.clip(1 + distance * 5, 0, 1) * between(rng, 0.1, 0.45)
    surface.albedo *= (1 - browned)[..., None]
    place(rng, scene, pose, distance, surface, edge=between(rng, 0.1, 0.3), rise=between(rng, 0.05, 0.12))
    if chance(rng, 0.5):
        pitch = between(rng, 0.22, 0.36)
        a, b = np.mod(u + pitch / 2, pitch) - pitch / 2, np.mod(v + pitch / 2, pitch) - pitch / 2
        holes = coverage(shapes.disc(a, b, 0.03), canvas.pixel / pose.scale) * (distance < -0.1)
        scene.albedo *= (1 - 0.55 * holes)[..., None]
        scene.height -= holes.astype(np.float32) * 0.03 * pose.scale
    elif chance(rng, 0.6):
        _chips(rng, scene, pose)
    return scene


def _chips(rng: np.random.Generator, scene: Scene, pose: Pose) -> None:
    tint = colour(between(rng, 0.02, 0.1), between(rng, 0.4, 0.8), between(rng, 0.12, 0.45))
    for _ in range(whole_number(rng, 6, 16)):
        angle, away = turn(rng), 0.75 * math.sqrt(between(rng, 0, 1))
        at = pose.child(away * math.cos(angle), away * math.sin(angle), turn(rng), between(rng, 0.05, 0.1))
        area = scene.canvas.window(at.x, at.y, at.scale * 1.5)
        a, b = at.apply(area)
        shape = shapes.oval(a, b, 1.0, between(rng, 0.6, 1.0))
        cover = coverage(shape, scene.canvas.pixel / at.scale) * scene.region[area.rows, area.columns]
        lift = scene.height[area.rows, area.columns] + at.scale * 0.25 * cover
        scene.paint(area, cover, tint, height=lift, gloss=0.2)


def fryum(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """A puffed snack: a wheel with spokes, a lattice, or a flower, yellow to red."""
    scene = empty_stage(rng, canvas)
    pose = drawn_pose(rng, 0.6, 0.9)
    u, v = pose.apply(canvas)
    half = between(rng, 0.07, 0.13)
    kind = int(rng.integers(3))
    if kind == 0:
        distance = np.minimum(shapes.ring(u, v, 0.9 - half, half), shapes.disc(u, v, half * 1.8))
        spokes = whole_number(rng, 3, 7)
        for spoke in range(spokes):
            angle = 2 * math.pi * spoke / spokes + between(rng, -0.08, 0.08)
            end = (0.85 * math.cos(angle), 0.85 * math.sin(angle))
            distance = shapes.joined(distance, shapes.bar(u, v, (0.0, 0.0), end, half * 0.8), 0.05)
    elif kind == 1:
        pitch = between(rng, 0.35, 0.5)
        across = np.abs(np.mod(u + pitch / 2, pitch) - pitch / 2)
        down = np.abs(np.mod(v + pitch / 2, pitch) - pitch / 2)
        distance = np.maximum(np.minimum(across, down) - half * 0.8, shapes.disc(u, v, 0.92))
    else:
        petals = whole_number(rng, 5, 9)
        distance = shapes.without(
            shapes.toothed(u, v, petals, 0.78, 0.25, 1.0), shapes.disc(u, v, between(rng, 0.1, 0.25))
        )
        half = 0.2
    warp = noise.smooth(rng, canvas.size, 8) * 0.015
    surface = _puffed(rng, canvas)
    place(rng, scene, pose, distance + warp, surface, edge=half, rise=half * 0.8, round_top=True)
    return scene


def _puffed(rng: np.random.Generator, canvas: Canvas) -> Surface:
    """Fried dough: yellow, orange, red or green, bubbly."""
    base = colour(between(rng, 0.0, 0.3), between(rng, 0.3, 0.85), between(rng, 0.55, 0.95))
    bubbles = noise.banded(rng, canvas.size, between(rng, 15, 50), width=0.6)
    albedo = base * (1 + bubbles * between(rng, 0.01, 0.07))[..., None]
    return Surface(albedo.astype(np.float32), bubbles * between(rng, 0.0005, 0.0025), between(rng, 0.05, 0.5))


def pipe_fryum(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """A ribbed hollow cylinder seen from the side, its open end dark."""
    scene = empty_stage(rng, canvas)
    pose = drawn_pose(rng, 0.65, 0.92)
    u, v = pose.apply(canvas)
    half = between(rng, 0.3, 0.45)
    distance = shapes.box(u, v, 0.9, half, between(rng, 0.03, 0.1))
    snack = _puffed(rng, canvas)
    place(rng, scene, pose, distance, snack, edge=half, rise=half, round_top=True, form=np.abs(v) - half)
    ribs = np.sin(v * between(rng, 18, 40) + noise.smooth(rng, canvas.size, 6) * 0.4)
    scene.height += ribs * scene.region * np.float32(0.008 * pose.scale)
    scene.albedo *= (1 + ribs * scene.region * 0.05)[..., None]
    mouth = coverage(shapes.oval(u - 0.86, v, between(rng, 0.04, 0.12), half * 0.75), 0.03)
    scene.albedo *= (1 - mouth * scene.region * between(rng, 0.4, 0.8))[..., None]
    return scene


def macaroni(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """Bent tubes of pasta, one large or four small."""
    scene = empty_stage(rng, canvas)
    pose = drawn_pose(rng, 0.6, 0.9)
    single = chance(rng, 0.5)
    radius, half = between(rng, 0.5, 0.7), between(rng, 0.16, 0.26)
    spread = between(rng, 0.8, 1.3)
    base = colour(between(rng, 0.09, 0.14), between(rng, 0.3, 0.75), between(rng, 0.7, 0.98))
    fine = noise.banded(rng, canvas.size, 40, width=0.8)
    albedo = (base * (1 + fine * between(rng, 0.005, 0.03))[..., None]).astype(np.float32)
    distance = np.full((canvas.size, canvas.size), 9.0, dtype=np.float32)
    scale = 1.0 if single else 0.5
    spots = [(0.0, 0.0)] if single else [(-0.45, -0.45), (0.45, -0.45), (-0.45, 0.45), (0.45, 0.45)]
    mouths = np.zeros_like(distance)
    for x, y in spots:
        own = pose.child(x, y, turn(rng), scale).child(-radius * 0.7, 0.0)
        a, b = own.apply(canvas)
        np.minimum(distance, shapes.arc(a, b, radius, spread, half) * scale, out=distance)
        for side in (-1.0, 1.0):
            angle = side * (spread + half * 0.7 / radius)
            end = own.child(radius * math.cos(angle), radius * math.sin(angle), angle)
            c, d = end.apply(canvas)
            np.maximum(mouths, coverage(shapes.oval(c, d, half * 0.6, half * 0.25), 0.04), out=mouths)
    surface = Surface(albedo, fine * 0.0006, between(rng, 0.05, 0.5))
    place(rng, scene, pose, distance, surface, edge=half * scale, rise=half * scale, round_top=True)
    scene.albedo *= (1 - mouths * scene.region * between(rng, 0.3, 0.6))[..., None]
    return scene


def hazelnut(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """A brown shell with streaks from the tip and a pale rough base."""
    scene = empty_stage(rng, canvas)
    pose = drawn_pose(rng, 0.55, 0.88)
    u, v = pose.apply(canvas)
    tip = between(rng, 0.0, 0.25)
    distance = shapes.oval(u, v * (1 + tip * np.clip(u, -1, 1)), 0.92, between(rng, 0.72, 0.88))
    base = colour(between(rng, 0.045, 0.09), between(rng, 0.5, 0.8), between(rng, 0.35, 0.7))
    streaks = noise.banded(
        rng, canvas.size, between(rng, 12, 40), angle=pose.angle, stretch=between(rng, 3, 8)
    )
    albedo = base * (1 + streaks * between(rng, 0.03, 0.12))[..., None]
    rough = noise.banded(rng, canvas.size, between(rng, 25, 60), width=0.8)
    cap = smoothstep(-0.35, -0.5, u + rough * 0.03 + between(rng, -0.2, 0.2))
    pale = colour(0.09, between(rng, 0.2, 0.45), between(rng, 0.55, 0.85))
    albedo += cap[..., None] * (pale * (1 + rough * 0.08)[..., None] - albedo)
    surface = Surface(albedo.astype(np.float32), cap * rough * 0.003, between(rng, 0.05, 0.5))
    place(rng, scene, pose, distance, surface, edge=0.85, rise=0.6, round_top=True)
    return scene


def cashew(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """A pale crescent, thicker at one end, smooth with faint brown lines."""
    scene = empty_stage(rng, canvas)
    pose = drawn_pose(rng, 0.6, 0.9)
    own = pose.child(-0.35, 0.0)
    u, v = own.apply(canvas)
    half = 0.27 + 0.08 * np.clip(v, -1, 1) * between(rng, -1, 1)
    distance = shapes.arc(u, v, between(rng, 0.48, 0.6), between(rng, 0.8, 1.2), 0.0) - half
    base = colour(between(rng, 0.08, 0.12), between(rng, 0.15, 0.45), between(rng, 0.75, 0.97))
    clouds = noise.fractal(rng, canvas.size, 5, 3)
    brown = drawn(rng, (0.05, 0.09), (0.4, 0.6), (0.4, 0.7))
    albedo = mixed(base, brown, np.clip(clouds * between(rng, 0.02, 0.12), 0, 0.5))
    surface = Surface(albedo, clouds * 0.004, between(rng, 0.05, 0.4))
    place(rng, scene, pose, distance, surface, edge=0.28, rise=0.22, round_top=True)
    return scene
