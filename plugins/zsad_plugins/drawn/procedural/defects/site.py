"""Where a defect goes, how large it is, and which outline and colour it has."""

from __future__ import annotations

import math

import numpy as np

from zsad_plugins.drawn.procedural import noise
from zsad_plugins.drawn.procedural.canvas import Field
from zsad_plugins.drawn.procedural.chance import between, by_ratio, chance, pick, turn
from zsad_plugins.drawn.procedural.colours import contrasting, drawn, near
from zsad_plugins.drawn.procedural.scene import Scene


def reach(scene: Scene) -> float:
    """Return about the radius of the object in plane units; 1 for a material from edge to edge."""
    return max(0.35, math.sqrt(float(scene.region.mean())))


def spot(rng: np.random.Generator, scene: Scene, outline: bool = False) -> tuple[float, float]:
    """Return a place on the object, away from places taken before.

    Args:
        rng: Source of randomness.
        scene: The scene; the place is added to ``scene.taken``.
        outline: Prefer the object's outline to its inside.
    """
    region, size = scene.region, scene.canvas.size
    # A coarse raster is dense enough to choose from; the border of the frame is left out.
    margin = max(2, size // 16)
    inner = region[margin : size - margin, margin : size - margin]
    fits = (inner > 0.2) & (inner < 0.8) if outline else inner > 0.95
    found = np.flatnonzero(fits)
    if len(found) == 0:
        found = np.flatnonzero(inner >= inner.max() * 0.5)
    best, farthest = (0.0, 0.0), -1.0
    for index in rng.choice(found, 8).tolist():
        row, column = divmod(int(index), inner.shape[1])
        at = (float(scene.canvas.x[0, column + margin]), float(scene.canvas.y[row + margin, 0]))
        away = min((math.dist(at, other) for other in scene.taken), default=9.0)
        if away > farthest:
            best, farthest = at, away
        if away > 0.8:
            break
    scene.taken.append(best)
    return best


def local_colour(scene: Scene, at: tuple[float, float], radius: float = 0.06) -> Field:
    """Return the mean colour around a place, float32 [3]."""
    area = scene.canvas.window(*at, radius)
    mean: Field = scene.albedo[area.rows, area.columns].mean(axis=(0, 1))
    return mean


def foreign_colour(
    rng: np.random.Generator, scene: Scene, at: tuple[float, float], least: float = 0.2
) -> Field:
    """Return a colour that stands out from the surroundings, within the tones the scene allows."""
    base = local_colour(scene, at)
    if scene.accents:
        return max(scene.accents, key=lambda accent: float(np.abs(accent - base).sum()))
    return contrasting(rng, base, least)


def blot(
    rng: np.random.Generator,
    scene: Scene,
    at: tuple[float, float],
    radius: float,
    *,
    roughness: float = 0.35,
    slimness: float = 0.6,
) -> Field:
    """Return about the signed distance to an irregular closed outline, [S, S], in plane units.

    Args:
        rng: Source of randomness.
        scene: The scene.
        at: Its centre.
        radius: Its mean radius.
        roughness: How far the outline swings, relative to the radius.
        slimness: Smallest ratio of its short to its long side.
    """
    canvas = scene.canvas
    ratio = between(rng, slimness, 1.0)
    angle = turn(rng)
    cosine, sine = math.cos(angle), math.sin(angle)
    dx, dy = canvas.x - at[0], canvas.y - at[1]
    a, b = (dx * cosine + dy * sine) * math.sqrt(ratio), (dy * cosine - dx * sine) / math.sqrt(ratio)
    swing = noise.fractal(rng, canvas.size, min(2.2 / radius, canvas.size / 3), 3)
    distance: Field = np.sqrt(a * a + b * b) - radius * (1 + (roughness * 0.5) * np.clip(swing, -1.6, 1.6))
    return distance


def defect_radius(rng: np.random.Generator, scene: Scene, strength: float, low: float, high: float) -> float:
    """Return a size in plane units, larger for stronger defects and larger objects."""
    size = by_ratio(rng, low, low + (high - low) * (0.35 + 0.65 * strength))
    if scene.ground is None and chance(rng, 0.2):
        # On materials from edge to edge some defects take up a good part of the frame.
        size *= between(rng, 1.3, 2.2)
    return max(size * reach(scene), 2.2 * scene.canvas.pixel)


def tinted(rng: np.random.Generator, base: Field, strength: float) -> Field:
    """Return a colour clearly off ``base`` in tone: another hue, darker or paler."""
    kind = pick(rng, ("hue", "dark", "dark", "pale"))
    if kind == "hue":
        target = drawn(rng, saturation=(0.4, 1.0), value=(0.3, 1.0))
    elif kind == "dark" and float(base.mean()) > 0.25:
        target = base * between(rng, 0.15, 0.5)
    else:
        target = np.clip(base * 0.4 + between(rng, 0.45, 0.65), 0, 1)
    share = 0.35 + 0.5 * strength
    mixture = near(rng, base + share * (target - base), 0.03)
    if float(np.abs(mixture - base).max()) < 0.14:
        return contrasting(rng, base, 0.22)
    return np.clip(mixture, 0, 1).astype(np.float32)


def on_object(scene: Scene, cover: Field) -> Field:
    """Return the cover where it lies on the object."""
    return cover * scene.region


def is_dark(rng: np.random.Generator, scene: Scene, at: tuple[float, float], usual: float = 0.5) -> bool:
    """Return whether a mark here should be darker than its surroundings, by chance where both would show."""
    brightness = float(local_colour(scene, at).mean())
    if brightness < 0.22:
        return False
    return True if brightness > 0.75 else chance(rng, usual)
