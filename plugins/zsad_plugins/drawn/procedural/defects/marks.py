"""Defects of colour: stain, discoloration, burn, corrosion, abrasion."""

from __future__ import annotations

import math

import numpy as np

from zsad_plugins.drawn.procedural import noise
from zsad_plugins.drawn.procedural.canvas import Field, smoothstep
from zsad_plugins.drawn.procedural.chance import between, by_ratio, chance, turn, whole_number
from zsad_plugins.drawn.procedural.colours import colour, grey, mixed
from zsad_plugins.drawn.procedural.defects.site import (
    blot,
    defect_radius,
    foreign_colour,
    is_dark,
    local_colour,
    on_object,
    spot,
    tinted,
)
from zsad_plugins.drawn.procedural.scene import Scene


def stain(rng: np.random.Generator, scene: Scene, strength: float) -> Field:
    """A spill that soaked in or dried: translucent, irregular, often darker at its rim, with droplets."""
    at = spot(rng, scene)
    radius = defect_radius(rng, scene, strength, 0.06, 0.34)
    distance = blot(rng, scene, at, radius, roughness=between(rng, 0.3, 0.9), slimness=0.45)
    for _ in range(whole_number(rng, 0, 4)):
        angle, away = turn(rng), radius * between(rng, 0.8, 2.2)
        drop = (at[0] + away * math.cos(angle), at[1] + away * math.sin(angle))
        round_drop = np.hypot(scene.canvas.x - drop[0], scene.canvas.y - drop[1])
        np.minimum(distance, round_drop - radius * between(rng, 0.08, 0.35), out=distance)
    softness = radius * by_ratio(rng, 0.04, 0.35)
    cover = smoothstep(softness, -softness, distance)
    opacity = between(rng, 0.45, 0.95)
    inside = cover * opacity
    if chance(rng, 0.45):
        rim = smoothstep(radius * 0.3, 0.0, np.abs(distance + softness))
        inside = cover * np.clip(between(rng, 0.35, 0.8) * opacity + rim * 0.6, 0, 1)
    uneven = np.clip(1 + noise.fractal(rng, scene.canvas.size, 5, 3) * 0.15, 0.3, 1.3)
    inside = np.clip(on_object(scene, inside * uneven), 0, 1)
    base = local_colour(scene, at, radius)
    if scene.accents:
        tone = foreign_colour(rng, scene, at)
    elif is_dark(rng, scene, at, 0.7):
        tone = base * colour(turn(rng), between(rng, 0.1, 0.6), between(rng, 0.2, 0.55))
    else:
        tone = tinted(rng, base, 1.0)
    # Half of the structure under the stain stays visible: its contrast is scaled with the colour.
    gain = np.clip(tone / np.maximum(base, 0.02), 0.0, 3.0)
    soaked = np.clip(0.6 * scene.albedo * gain + 0.4 * tone, 0, 1)
    scene.albedo += inside[..., None] * (soaked - scene.albedo)
    wet = between(rng, 0.0, 0.8)
    scene.gloss += inside * (wet - scene.gloss) * 0.6
    return on_object(scene, cover)


def discoloration(rng: np.random.Generator, scene: Scene, strength: float) -> Field:
    """An area whose colour is off while its structure stays; soft or sharp borders."""
    at = spot(rng, scene)
    radius = defect_radius(rng, scene, strength, 0.1, 0.45)
    distance = blot(rng, scene, at, radius, roughness=between(rng, 0.2, 0.7), slimness=0.4)
    softness = radius * between(rng, 0.05, 0.5)
    cover = on_object(scene, smoothstep(softness, -softness, distance))
    base = local_colour(scene, at, radius)
    tone = tinted(rng, base, strength)
    if scene.grey:
        tone = base * (between(rng, 0.35, 0.7) if is_dark(rng, scene, at) else between(rng, 1.4, 1.9))
    gain = np.clip(tone / np.maximum(base, 0.06), 0.1, 3.0)
    shifted = np.clip(scene.albedo * gain, 0, 1)
    scene.albedo += cover[..., None] * (shifted - scene.albedo)
    return cover


def burn(rng: np.random.Generator, scene: Scene, strength: float) -> Field:
    """Charred black in the middle, brown around it, a yellowed fringe; ragged, matt."""
    at = spot(rng, scene)
    radius = defect_radius(rng, scene, strength, 0.1, 0.3)
    distance = blot(rng, scene, at, radius, roughness=between(rng, 0.5, 1.0), slimness=0.5)
    ragged = distance + noise.fractal(rng, scene.canvas.size, 12, 4, 0.6) * (radius * 0.15)
    fringe = on_object(scene, smoothstep(radius * 0.6, 0.0, ragged)) * between(rng, 0.6, 0.9)
    brown = on_object(scene, smoothstep(radius * 0.2, -radius * 0.2, ragged))
    char = on_object(scene, smoothstep(-radius * 0.1, -radius * 0.5, ragged)) * between(rng, 0.7, 1.0)
    scene.albedo *= 1 - fringe[..., None] * (
        1 - colour(0.09, between(rng, 0.3, 0.6), between(rng, 0.6, 0.85))
    )
    scene.albedo *= 1 - brown[..., None] * (1 - colour(0.06, between(rng, 0.4, 0.8), between(rng, 0.25, 0.5)))
    ash = np.clip(noise.banded(rng, scene.canvas.size, 40, width=0.8) * 0.04 + 0.06, 0.0, 0.3)
    scene.albedo += char[..., None] * (ash[..., None] * grey(1.0) - scene.albedo)
    if float(local_colour(scene, at, radius).mean()) < 0.1 and chance(rng, 0.7):
        flakes = on_object(scene, smoothstep(0.6, 1.2, noise.banded(rng, scene.canvas.size, 20))) * char
        scene.paint(scene.canvas, flakes * 0.6, grey(between(rng, 0.4, 0.7)))
    scene.gloss *= 1 - brown * 0.8
    scene.height += (char * (ash - 0.05) * 0.05).astype(np.float32)
    reached: Field = np.maximum(fringe, brown)
    return reached


def corrosion(rng: np.random.Generator, scene: Scene, strength: float) -> Field:
    """Rust or verdigris: crumbly patches in several tones with specks around them."""
    at = spot(rng, scene)
    radius = defect_radius(rng, scene, strength, 0.1, 0.35)
    distance = blot(rng, scene, at, radius, roughness=0.9, slimness=0.4)
    crumbs = noise.fractal(rng, scene.canvas.size, 14, 4, 0.75)
    cover = on_object(scene, smoothstep(0.1, -0.25, distance / radius + crumbs * between(rng, 0.25, 0.5)))
    if chance(rng, 0.8):
        first, second = (
            colour(between(rng, 0.02, 0.07), 0.8, 0.6),
            colour(between(rng, 0.02, 0.06), 0.75, 0.28),
        )
    else:
        first, second = colour(between(rng, 0.4, 0.5), 0.4, 0.65), colour(0.45, 0.5, 0.35)
    tones = mixed(first, second, np.clip(0.5 + crumbs * 0.35, 0, 1))
    if scene.grey:
        dark = is_dark(rng, scene, at, 0.6)
        tones = tones * (0.5 if dark else 1.7)
    scene.albedo += (cover * between(rng, 0.7, 1.0))[..., None] * (tones - scene.albedo)
    scene.height += (cover * crumbs * 0.006).astype(np.float32)
    scene.gloss *= 1 - cover * 0.9
    return cover


def abrasion(rng: np.random.Generator, scene: Scene, strength: float) -> Field:
    """A worn patch: many fine parallel marks, the surface dulled and paler or darker."""
    at = spot(rng, scene)
    radius = defect_radius(rng, scene, strength, 0.12, 0.4)
    angle = turn(rng)
    distance = blot(rng, scene, at, radius, roughness=0.5, slimness=0.3)
    patch = smoothstep(radius * 0.35, -radius * 0.35, distance)
    marks = noise.banded(
        rng, scene.canvas.size, by_ratio(rng, 30, 90), width=0.9, angle=angle, stretch=by_ratio(rng, 5, 30)
    )
    cover = on_object(scene, patch * smoothstep(-0.6, 0.9, marks))
    base = local_colour(scene, at, radius)
    dark = is_dark(rng, scene, at, 0.3)
    tone = base * between(rng, 0.3, 0.6) if dark else base + (1 - base) * between(rng, 0.45, 0.75)
    scene.paint(scene.canvas, cover * (0.55 + 0.45 * strength), tone.astype(np.float32))
    scene.height += (on_object(scene, patch * marks) * 0.002).astype(np.float32)
    scene.gloss *= 1 - on_object(scene, patch) * 0.5
    return on_object(scene, patch)
