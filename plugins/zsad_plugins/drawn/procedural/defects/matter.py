"""Defects of matter: contamination, blob, hole, pits, dent."""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from zsad_plugins.drawn.procedural import noise, shapes
from zsad_plugins.drawn.procedural.canvas import Field, Pose, coverage, smoothstep
from zsad_plugins.drawn.procedural.chance import between, by_ratio, chance, turn, whole_number
from zsad_plugins.drawn.procedural.colours import grey, near
from zsad_plugins.drawn.procedural.defects.site import (
    blot,
    defect_radius,
    foreign_colour,
    local_colour,
    on_object,
    reach,
    spot,
)
from zsad_plugins.drawn.procedural.relief import domed
from zsad_plugins.drawn.procedural.scene import Scene
from zsad_plugins.drawn.procedural.strokes import curve, stroke


def contamination(rng: np.random.Generator, scene: Scene, strength: float) -> Field:
    """Foreign matter that lies on the object: particles, one flake, or fibres; each with a faint shadow."""
    at = spot(rng, scene)
    cover = np.zeros_like(scene.height)
    kind = int(rng.integers(3))
    spread = between(rng, 0.08, 0.35) * reach(scene)
    if kind == 0:
        for _ in range(whole_number(rng, 3, 6 + round(24 * strength))):
            x, y = at[0] + float(rng.normal(0, spread)), at[1] + float(rng.normal(0, spread))
            radius = max(by_ratio(rng, 0.008, 0.04) * reach(scene), scene.canvas.pixel)
            pose = Pose(x, y, turn(rng), radius)
            area = scene.canvas.window(x, y, radius * 1.6)
            a, b = pose.apply(area)
            amplitudes = (rng.normal(0, 0.16, 4)).astype(np.float32)
            phases = rng.uniform(0, 6.3, 4).astype(np.float32)
            grain = coverage(shapes.lobed(a, b, 1.0, amplitudes, phases), scene.canvas.pixel / radius)
            block = cover[area.rows, area.columns]
            np.maximum(block, grain, out=block)
    elif kind == 1:
        radius = defect_radius(rng, scene, strength, 0.05, 0.18)
        distance = blot(rng, scene, at, radius, roughness=1.0, slimness=0.35)
        cover = coverage(distance, scene.canvas.pixel)
    else:
        for _ in range(whole_number(rng, 1, 2 + round(3 * strength))):
            place = (at[0] + between(rng, -spread, spread), at[1] + between(rng, -spread, spread))
            path = curve(rng, place, by_ratio(rng, 0.25, 0.9) * reach(scene), 3.5)
            width = max(by_ratio(rng, 0.008, 0.022), scene.canvas.pixel)
            stroke(scene.canvas, cover, path, np.full(len(path), width, dtype=np.float32))
    cover = on_object(scene, cover)
    shadow = on_object(scene, ndimage.shift(cover, (2, 1), order=0))
    scene.albedo *= (1 - shadow * between(rng, 0.1, 0.45))[..., None]
    tone = near(rng, foreign_colour(rng, scene, at, 0.28), 0.02)
    height = scene.height + cover * np.float32(between(rng, 0.005, 0.02))
    scene.paint(scene.canvas, cover * between(rng, 0.8, 1.0), tone, height=height, gloss=between(rng, 0, 0.6))
    return np.maximum(cover, shadow)


def blob(rng: np.random.Generator, scene: Scene, strength: float) -> Field:
    """A lump that stands out: a polyp, a tumour, a drop of glue, spare metal; nearly the colour around it."""
    at = spot(rng, scene)
    radius = defect_radius(rng, scene, strength, 0.07, 0.32)
    distance = blot(rng, scene, at, radius, roughness=between(rng, 0.1, 0.45), slimness=0.6)
    base = local_colour(scene, at, radius)
    if scene.accents:
        cover = on_object(scene, coverage(distance, scene.canvas.pixel))
        scene.paint(scene.canvas, cover, foreign_colour(rng, scene, at))
        return cover
    softness = radius * by_ratio(rng, 0.03, 0.3 if scene.flat else 0.12)
    cover = on_object(scene, smoothstep(softness, -softness, distance))
    bumps = noise.fractal(rng, scene.canvas.size, min(3 / radius, 40.0), 3)
    if scene.flat:
        _lesion(rng, scene, cover, distance / radius, bumps, base)
        return cover
    lift = domed(distance, radius, radius * between(rng, 0.45, 0.95)) + bumps * (radius * 0.04)
    tone = near(rng, base, 0.16)
    if float(tone.mean()) < 0.18:
        tone = tone + between(rng, 0.08, 0.2)
    # The lump shadows its foot on one side, which is most of what shows a polyp.
    foot = on_object(scene, smoothstep(radius * 0.35, 0.0, distance)) - cover
    scene.albedo *= (1 - np.clip(foot, 0, 1) * between(rng, 0.1, 0.4))[..., None]
    wet = chance(rng, 0.5)
    skin = tone * (1 + bumps * between(rng, 0.02, 0.08))[..., None] + 0.3 * (scene.albedo - base)
    height = scene.height * 0.5 + lift
    covered = cover * between(rng, 0.75, 1.0)
    scene.paint(scene.canvas, covered, np.clip(skin, 0, 1).astype(np.float32), height=height)
    scene.gloss += cover * ((between(rng, 0.6, 1.0) if wet else 0.1) - scene.gloss) * 0.6
    return np.maximum(cover, foot)


def _lesion(
    rng: np.random.Generator, scene: Scene, cover: Field, depth: Field, bumps: Field, base: Field
) -> None:
    """Paint a mass as a scan shows it: brighter or darker, mottled, sometimes a ring around a dark core."""
    level = float(base.mean())
    bright = level < 0.3 or (level < 0.72 and chance(rng, 0.75))
    target = level + between(rng, 0.16, 0.5) if bright else level - between(rng, 0.14, 0.4)
    tone = np.clip(target + bumps * between(rng, 0.01, 0.06), 0, 1)
    if chance(rng, 0.35):
        core = smoothstep(-0.25, -0.5, depth)
        tone = tone + core * (level * between(rng, 0.4, 0.9) - tone)
    scene.paint(scene.canvas, cover, np.repeat(tone[..., None], 3, axis=2).astype(np.float32))


def hole(rng: np.random.Generator, scene: Scene, strength: float) -> Field:
    """A hole through to what lies behind, or to darkness, with a torn or rounded rim."""
    at = spot(rng, scene)
    radius = defect_radius(rng, scene, strength, 0.04, 0.18)
    distance = blot(rng, scene, at, radius, roughness=between(rng, 0.0, 0.6), slimness=0.6)
    pixel = scene.canvas.pixel
    opening = on_object(scene, coverage(distance, pixel))
    rim = on_object(scene, smoothstep(radius * between(rng, 0.15, 0.5), 0.0, distance))
    base = local_colour(scene, at, radius)
    if scene.accents:
        scene.paint(scene.canvas, opening, foreign_colour(rng, scene, at))
        return opening
    behind = grey(between(rng, 0.0, 0.1)) if float(base.mean()) > 0.2 else grey(between(rng, 0.55, 0.95))
    scene.height += (rim * radius * between(rng, 0.05, 0.3) - opening * radius * 0.4).astype(np.float32)
    scene.albedo *= (1 - rim * between(rng, 0.0, 0.35))[..., None]
    if scene.ground is not None and chance(rng, 0.5):
        ground = scene.ground[0] * 0.75
        seen = (
            float(np.abs(ground[opening > 0.5].mean(axis=0) - base).max()) if (opening > 0.5).any() else 0.0
        )
        if seen > 0.25:
            scene.paint(scene.canvas, opening, ground, height=scene.ground[1] - 0.02, gloss=0.0)
            return np.maximum(opening, rim)
    scene.paint(scene.canvas, opening, near(rng, behind, 0.02), gloss=0.0)
    return np.maximum(opening, rim)


def pits(rng: np.random.Generator, scene: Scene, strength: float) -> Field:
    """Blowholes, pores, pinholes: small round dark dimples, alone or in a cluster."""
    at = spot(rng, scene)
    canvas = scene.canvas
    opening, rim = np.zeros_like(scene.height), np.zeros_like(scene.height)
    spread = between(rng, 0.04, 0.3) * reach(scene)
    count = whole_number(rng, 1, 3) if chance(rng, 0.4) else whole_number(rng, 4, 6 + round(20 * strength))
    for number in range(count):
        away = 0.0 if number == 0 else spread
        x, y = at[0] + float(rng.normal(0, 1)) * away, at[1] + float(rng.normal(0, 1)) * away
        radius = max(by_ratio(rng, 0.012, 0.05 if count > 3 else 0.08) * reach(scene), 1.2 * canvas.pixel)
        area = canvas.window(x, y, radius * 2)
        distance = shapes.oval(area.x - x, area.y - y, radius, radius * between(rng, 0.7, 1.0))
        for target, value in (
            (opening, coverage(distance, canvas.pixel)),
            (rim, smoothstep(radius * 0.8, 0.0, distance)),
        ):
            block = target[area.rows, area.columns]
            np.maximum(block, value, out=block)
    opening, rim = on_object(scene, opening), on_object(scene, rim)
    if scene.accents:
        scene.paint(canvas, opening, foreign_colour(rng, scene, at))
        return opening
    base = local_colour(scene, at)
    tone = base * between(rng, 0.05, 0.4) if float(base.mean()) > 0.16 else base + between(rng, 0.25, 0.5)
    scene.height += rim * np.float32(0.004) - opening * np.float32(0.015)
    scene.albedo *= (1 + (rim - opening) * between(rng, -0.15, 0.35))[..., None]
    scene.paint(canvas, opening * between(rng, 0.75, 1.0), tone.astype(np.float32), gloss=0.0)
    return np.maximum(opening, rim)


def dent(rng: np.random.Generator, scene: Scene, strength: float) -> Field:
    """The surface is pushed in: only light and shade tell, plus a little dirt or wear at the bottom."""
    at = spot(rng, scene)
    radius = max(defect_radius(rng, scene, strength, 0.09, 0.3), 4 * scene.canvas.pixel)
    distance = blot(rng, scene, at, radius, roughness=between(rng, 0.1, 0.5), slimness=0.4)
    bowl = smoothstep(0.0, -radius * between(rng, 0.6, 1.0), distance)
    wall = smoothstep(radius * 0.3, 0.0, distance) - smoothstep(0.0, -radius * 0.3, distance)
    depth = radius * between(rng, 0.3, 0.6) * (0.6 + 0.4 * strength)
    sign = -1.0 if chance(rng, 0.8) else 1.0
    scene.height += on_object(scene, sign * depth * bowl + np.maximum(wall, 0) * depth * 0.12)
    angle = turn(rng)
    # Occlusion: the side of the bowl away from the sky is darker whatever the light does.
    tilt = ((scene.canvas.x - at[0]) * math.cos(angle) + (scene.canvas.y - at[1]) * math.sin(angle)) / radius
    shade = bowl * (0.14 + 0.22 * np.clip(tilt, -1, 1)) * (0.6 + 0.4 * strength)
    scene.albedo *= (1 - on_object(scene, shade))[..., None]
    return on_object(scene, np.maximum(bowl, (distance < radius * 0.3).astype(np.float32)))
