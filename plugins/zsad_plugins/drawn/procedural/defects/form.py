"""Defects of form and order: missing part, chip, bent, misprint, broken pattern, fray."""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from zsad_plugins.drawn.procedural import noise
from zsad_plugins.drawn.procedural.canvas import Canvas, Field, coverage, smoothstep
from zsad_plugins.drawn.procedural.chance import between, by_ratio, chance, pick, turn, whole_number
from zsad_plugins.drawn.procedural.colours import contrasting, near
from zsad_plugins.drawn.procedural.defects.site import (
    blot,
    defect_radius,
    local_colour,
    on_object,
    reach,
    spot,
)
from zsad_plugins.drawn.procedural.scene import Part, Scene
from zsad_plugins.drawn.procedural.strokes import stroke, wander


def missing_part(rng: np.random.Generator, scene: Scene, strength: float) -> Field:
    """Parts that should be there are not; where nothing is removable, a piece of the object is gone."""
    behind = scene.beneath
    usable = [part for part in scene.parts if float(part.cover.max(initial=0.0)) > 0.5]
    if behind is None or not usable:
        return chip(rng, scene, max(strength, 0.6))
    cover = np.zeros_like(scene.height)
    count = 1 if strength < 0.6 else whole_number(rng, 1, min(3, len(usable)))
    for index in rng.choice(len(usable), count, replace=False).tolist():
        _remove(scene, usable[int(index)], behind, cover)
    return cover


def _remove(scene: Scene, part: Part, behind: tuple[Field, Field], cover: Field) -> None:
    where = (part.rows, part.columns)
    block, relief, seen = scene.albedo[where], scene.height[where], cover[where]
    block += part.cover[..., None] * (behind[0][where] - block)
    relief += part.cover * (behind[1][where] - relief)
    np.maximum(seen, part.cover, out=seen)
    rows, columns = np.nonzero(part.cover > 0.5)
    if len(rows):
        row, column = int(rows.mean()) + part.rows.start, int(columns.mean()) + part.columns.start
        scene.taken.append((float(scene.canvas.x[0, column]), float(scene.canvas.y[row, 0])))


def chip(rng: np.random.Generator, scene: Scene, strength: float) -> Field:
    """A piece has broken off at the outline, or flaked off the surface, with a rough fracture."""
    at = spot(rng, scene, outline=True)
    radius = defect_radius(rng, scene, strength, 0.12, 0.34)
    distance = blot(rng, scene, at, radius, roughness=between(rng, 0.4, 1.0), slimness=0.5)
    cover = on_object(scene, coverage(distance, scene.canvas.pixel))
    rough = noise.fractal(rng, scene.canvas.size, 20, 3, 0.7)
    base = local_colour(scene, at, radius)
    if scene.ground is not None:
        edge = on_object(
            scene, smoothstep(radius * between(rng, 0.1, 0.3), 0.0, distance + rough * radius * 0.05)
        )
        fracture = near(rng, np.clip(base * between(rng, 0.55, 1.35), 0, 1), 0.08)
        scene.paint(scene.canvas, edge * between(rng, 0.5, 1.0), fracture, height=scene.height - edge * 0.03)
        scene.paint(scene.canvas, cover, scene.ground[0], height=scene.ground[1])
        scene.gloss *= 1 - np.maximum(cover, edge) * 0.8
        scene.region *= 1 - cover
        return np.maximum(cover, edge)
    paler = float(base.mean()) < 0.3 or (float(base.mean()) < 0.72 and chance(rng, 0.5))
    inside = near(
        rng, base + (1 - base) * between(rng, 0.3, 0.6) if paler else base * between(rng, 0.35, 0.65), 0.04
    )
    tones = inside * (1 + rough * 0.12)[..., None]
    height = scene.height - (0.03 + rough * 0.006) * cover
    scene.paint(scene.canvas, cover, np.clip(tones, 0, 1), height=height.astype(np.float32), gloss=0.0)
    return cover


def bent(rng: np.random.Generator, scene: Scene, strength: float) -> Field:
    """Part of the object is pushed aside: everything around a place is displaced, most in the middle."""
    at = spot(rng, scene, outline=scene.ground is not None and chance(rng, 0.7))
    radius = between(rng, 0.28, 0.5) * max(reach(scene), 0.5)
    area = scene.canvas.window(*at, radius)
    push, angle = radius * between(rng, 0.25, 0.42) * (0.6 + 0.4 * strength), turn(rng)
    dx, dy = area.x - at[0], area.y - at[1]
    inside = np.clip(1 - (dx * dx + dy * dy) * (1.0 / radius**2), 0, 1)
    weight = inside * inside
    swirl = between(rng, -1.0, 1.0) * (0.5 + 0.5 * strength)
    shift_x = weight * (push * math.cos(angle) + dy * swirl)
    shift_y = weight * (push * math.sin(angle) - dx * swirl)
    _displace(scene, area, shift_x, shift_y)
    # What is bent also rises from its plane, so that light tells on plain surfaces too.
    scene.height[area.rows, area.columns] += weight * np.float32(radius * between(rng, 0.05, 0.25))
    cover = np.zeros_like(scene.height)
    cover[area.rows, area.columns] = (weight > 0.003).astype(np.float32)
    return cover


def _displace(scene: Scene, area: Canvas, shift_x: Field, shift_y: Field) -> None:
    """Read colours, relief, gloss and outline of a window from places shifted by the given plane units."""
    size, pixel = scene.canvas.size, scene.canvas.pixel
    column = np.clip((area.x - shift_x + 1) / pixel - 0.5, 0, size - 1.001)
    row = np.clip((area.y - shift_y + 1) / pixel - 0.5, 0, size - 1.001)
    left, top = column.astype(np.int32), row.astype(np.int32)
    fx, fy = (column - left).astype(np.float32), (row - top).astype(np.float32)
    right, bottom = np.minimum(left + 1, size - 1), np.minimum(top + 1, size - 1)

    def read(values: Field) -> Field:
        a, b = (fx[..., None], fy[..., None]) if values.ndim == 3 else (fx, fy)
        upper = values[top, left] * (1 - a) + values[top, right] * a
        lower = values[bottom, left] * (1 - a) + values[bottom, right] * a
        moved: Field = upper * (1 - b) + lower * b
        return moved

    for values in (scene.albedo, scene.height, scene.gloss, scene.region):
        values[area.rows, area.columns] = read(values)


def misprint(rng: np.random.Generator, scene: Scene, strength: float) -> Field:
    """The print is shifted, doubled, smeared, blotted or partly absent in an area."""
    if scene.ink is None or scene.blank is None or scene.ink_colour is None:
        return broken_pattern(rng, scene, strength)
    ink = scene.ink
    printed = np.flatnonzero(ink.ravel() > 0.5)
    if len(printed) == 0:
        return broken_pattern(rng, scene, strength)
    row, column = divmod(int(printed[int(rng.integers(len(printed)))]), scene.canvas.size)
    at = (float(scene.canvas.x[row, column]), float(scene.canvas.y[row, column]))
    scene.taken.append(at)
    radius = max(defect_radius(rng, scene, strength, 0.2, 0.5), 0.12)
    patch = smoothstep(0.03, -0.03, blot(rng, scene, at, radius, roughness=0.5, slimness=0.4))
    step = max(2, round(between(rng, 0.02, 0.07) / scene.canvas.pixel))
    kind = pick(rng, ("absent", "doubled", "smeared", "shifted", "blotted"))
    across, down = pick(rng, (-1, 1)) * step, pick(rng, (-1, 0, 1)) * step
    if kind == "absent":
        changed = ink * np.clip(noise.banded(rng, scene.canvas.size, 20) * 0.25, 0, 0.4)
    elif kind == "doubled":
        changed = np.maximum(ink, ndimage.shift(ink, (down, across), order=0) * between(rng, 0.5, 0.9))
    elif kind == "smeared":
        smear = ndimage.uniform_filter1d(ink, 3 * step, axis=pick(rng, (0, 1)))
        changed = np.clip(smear * between(rng, 1.2, 1.8), 0, 1)
    elif kind == "shifted":
        changed = ndimage.shift(ink, (down, across), order=0)
    else:
        blotted = smoothstep(0.4, 1.0, noise.banded(rng, scene.canvas.size, between(rng, 5, 12)))
        changed = np.maximum(ink, blotted * patch)
    now = ink + patch * (changed - ink)
    redone = scene.blank + (now * scene.region)[..., None] * (_ink_everywhere(scene) - scene.blank)
    redone_share = on_object(scene, smoothstep(0.0, 0.05, patch))
    scene.albedo += redone_share[..., None] * (redone - scene.albedo)
    return redone_share


def _ink_everywhere(scene: Scene) -> Field:
    """Return the ink's colour also beside the print: where colours differ, their mean over the print."""
    assert scene.ink_colour is not None and scene.ink is not None
    if scene.ink_colour.ndim == 1:
        return scene.ink_colour
    share = scene.ink[..., None]
    mean = (scene.ink_colour * share).sum(axis=(0, 1)) / np.maximum(share.sum(), 1e-3)
    blended: Field = (scene.ink_colour * share + mean * (1 - share)).astype(np.float32)
    return blended


def broken_pattern(rng: np.random.Generator, scene: Scene, strength: float) -> Field:
    """The structure of an area is turned, shifted, squeezed or torn up against its surroundings."""
    at = spot(rng, scene)
    radius = max(defect_radius(rng, scene, strength, 0.14, 0.4), 0.1)
    distance = blot(rng, scene, at, radius, roughness=0.6, slimness=0.4)
    patch = on_object(scene, smoothstep(0.015, -0.015, distance))
    area = scene.canvas.window(*at, radius * 1.9)
    kind = pick(rng, ("turned", "shifted", "torn", "squeezed"))
    dx, dy = area.x - at[0], area.y - at[1]
    if kind == "turned":
        angle = between(rng, 0.4, 1.6) * pick(rng, (-1, 1))
        shift_x = dx - (dx * math.cos(angle) - dy * math.sin(angle))
        shift_y = dy - (dx * math.sin(angle) + dy * math.cos(angle))
    elif kind == "shifted":
        angle, far = turn(rng), between(rng, 0.04, 0.3)
        shift_x, shift_y = np.full_like(dx, far * math.cos(angle)), np.full_like(dx, far * math.sin(angle))
    elif kind == "torn":
        shift_x = noise.smooth(rng, scene.canvas.size, by_ratio(rng, 8, 20))[area.rows, area.columns] * 0.06
        shift_y = noise.smooth(rng, scene.canvas.size, by_ratio(rng, 8, 20))[area.rows, area.columns] * 0.06
    else:
        ratio = pick(rng, (0.45, 0.6, -0.7, -1.2))
        shift_x, shift_y = dx * ratio, dy * ratio * between(rng, -0.3, 1.0)
    moved = scene.twin()
    _displace(moved, area, shift_x.astype(np.float32), shift_y.astype(np.float32))
    share = patch * np.clip(moved.region, 0, 1) if scene.ground is not None else patch
    scene.albedo += share[..., None] * (moved.albedo - scene.albedo)
    scene.height += share * (moved.height - scene.height)
    return share


def fray(rng: np.random.Generator, scene: Scene, strength: float) -> Field:
    """Threads have come loose: thin curved fibres out of one place, the ground beneath disturbed."""
    at = spot(rng, scene, outline=scene.ground is not None)
    cover, shadow = np.zeros_like(scene.height), np.zeros_like(scene.height)
    heading, fan = turn(rng), between(rng, 0.4, 1.6)
    spread = between(rng, 0.03, 0.12) * reach(scene)
    for _ in range(whole_number(rng, 5, 8 + round(16 * strength))):
        start = (at[0] + float(rng.normal(0, spread)), at[1] + float(rng.normal(0, spread)))
        length = by_ratio(rng, 0.12, 0.5) * max(reach(scene), 0.5)
        path = wander(
            rng,
            start,
            heading + between(rng, -fan, fan),
            length,
            steps=8,
            wobble=0.25,
            bend=between(rng, -2, 2),
        )
        width = max(by_ratio(rng, 0.006, 0.016), scene.canvas.pixel * 0.9)
        widths = np.full(len(path), width, dtype=np.float32)
        stroke(scene.canvas, cover, path, widths, between(rng, 0.7, 1.0))
        stroke(scene.canvas, shadow, path + np.float32(0.012), widths * 1.5, 0.6)
    torn = on_object(scene, smoothstep(spread * 1.5, 0.0, blot(rng, scene, at, spread * 1.6, roughness=1.0)))
    base = local_colour(scene, at, 0.1)
    scene.albedo *= (1 - torn * between(rng, 0.1, 0.5))[..., None]
    scene.albedo *= (1 - shadow * between(rng, 0.2, 0.5))[..., None]
    tone = (
        contrasting(rng, base, 0.16)
        if chance(rng, 0.6)
        else near(rng, np.clip(base * 1.35 + 0.08, 0, 1), 0.05)
    )
    scene.paint(scene.canvas, cover, tone, height=scene.height + cover * 0.01)
    return np.maximum(np.maximum(cover, shadow), torn)
