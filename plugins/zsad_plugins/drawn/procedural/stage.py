"""The ground under an object, its shadow, its pose, and solids of a material."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy import ndimage

from zsad_plugins.drawn.procedural import noise
from zsad_plugins.drawn.procedural.canvas import Canvas, Field, Pose, coverage
from zsad_plugins.drawn.procedural.chance import between, by_ratio, chance, turn
from zsad_plugins.drawn.procedural.materials import hard, metal, soft
from zsad_plugins.drawn.procedural.relief import bevelled, domed
from zsad_plugins.drawn.procedural.scene import Scene, Surface, full_frame

Material = Callable[[np.random.Generator, Canvas], Surface]

_GROUNDS: tuple[tuple[Material, float], ...] = (
    (hard.dull, 0.38),
    (soft.felt, 0.2),
    (hard.paint_coat, 0.12),
    (soft.woven, 0.05),
    (hard.wood, 0.06),
    (metal.brushed, 0.06),
    (hard.concrete, 0.05),
    (metal.rubber, 0.08),
)


def empty_stage(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """Return a ground with nothing on it; no part of it belongs to the object."""
    weights = np.array([weight for _, weight in _GROUNDS])
    material = _GROUNDS[int(rng.choice(len(_GROUNDS), p=weights / weights.sum()))][0]
    scene = full_frame(canvas, material(rng, canvas))
    scene.region = np.zeros_like(scene.region)
    if chance(rng, 0.6):
        # Most inspection stations have neutral grounds.
        level = scene.albedo.mean(axis=2, keepdims=True)
        scene.albedo = level + (scene.albedo - level) * np.float32(between(rng, 0.0, 0.4))
    return scene


def drawn_pose(rng: np.random.Generator, low: float = 0.55, high: float = 0.92, upright: float = 0.3) -> Pose:
    """Return a pose: object units of ``low`` to ``high``, off centre, rarely so large that it is cropped.

    Args:
        rng: Source of randomness.
        low: Smallest scale.
        high: Largest scale; one in eight is up to 1.5 times as large.
        upright: Probability that the object is aligned with the frame (up to a few degrees).
    """
    scale = between(rng, low, high)
    if chance(rng, 0.12):
        scale = high * between(rng, 1.0, 1.5)
    slack = max(0.05, 1.0 - scale) * 0.6
    angle = turn(rng)
    if chance(rng, upright):
        angle = math.pi / 2 * round(angle / (math.pi / 2)) + between(rng, -0.06, 0.06)
    return Pose(between(rng, -slack, slack), between(rng, -slack, slack), angle, scale)


def shade_ground(rng: np.random.Generator, scene: Scene, cover: Field) -> None:
    """Darken the ground beside an object, as under a soft light; call before the object is painted."""
    size = scene.canvas.size
    step = max(1, size // 64)
    small = np.ascontiguousarray(cover[step // 2 :: step, step // 2 :: step])
    side = small.shape[0]
    width = by_ratio(rng, 0.015, 0.1) * side
    shift = (between(rng, -0.06, 0.06) * side, between(rng, -0.06, 0.06) * side)
    moved = ndimage.shift(small, shift, order=1, mode="nearest")
    dark = noise.resized(ndimage.gaussian_filter(moved, width, mode="nearest").astype(np.float32), size)
    scene.albedo *= 1 - dark[..., None] * between(rng, 0.1, 0.65)


def solid(
    scene: Scene,
    pose: Pose,
    distance: Field,
    surface: Surface,
    *,
    edge: float = 0.08,
    rise: float = 0.05,
    round_top: bool = False,
    form: Field | None = None,
) -> Field:
    """Paint a body of a material over the whole plane.

    Args:
        scene: The scene.
        pose: Its pose; lengths below are in its units.
        distance: Signed distance in object units, [S, S].
        surface: Its material.
        edge: Width of the bevel, or radius of the dome.
        rise: Height above what lies under it.
        round_top: A dome instead of a bevelled plate.
        form: Signed distance the height follows, where it is not that of the outline (a tube with flat ends).

    Returns:
        Its coverage, [S, S].
    """
    cover = coverage(distance, scene.canvas.pixel / pose.scale)
    rising = domed if round_top else bevelled
    height = rising(distance if form is None else form, edge, rise * pose.scale) + surface.height
    scene.paint(scene.canvas, cover, surface.albedo, height=height, solid=True)
    scene.gloss += cover * (surface.gloss - scene.gloss)
    return cover


def _set_off(rng: np.random.Generator, scene: Scene, surface: Surface) -> None:
    """Make the ground brighter or darker where one could hardly tell the object from it."""
    ground, body = scene.albedo[::8, ::8].mean(axis=(0, 1)), surface.albedo[::8, ::8].mean(axis=(0, 1))
    if float(np.abs(ground - body).max()) > 0.16:
        return
    level = float(ground.mean())
    target = level + between(rng, 0.2, 0.45) if level < 0.5 else level - between(rng, 0.2, 0.45)
    scene.albedo = np.clip(scene.albedo * (target / max(level, 0.08)) + (0.04 if level < 0.08 else 0.0), 0, 1)


def place(
    rng: np.random.Generator,
    scene: Scene,
    pose: Pose,
    distance: Field,
    surface: Surface,
    *,
    edge: float = 0.08,
    rise: float = 0.05,
    round_top: bool = False,
    form: Field | None = None,
) -> Field:
    """Lay an object's body on the stage with its shadow, and note the ground it hides; see `solid`."""
    _set_off(rng, scene, surface)
    shade_ground(rng, scene, coverage(distance, scene.canvas.pixel / pose.scale))
    scene.ground = (scene.albedo.copy(), scene.height.copy())
    scene.beneath = scene.ground
    scene.angle, scene.material = pose.angle, surface.material
    return solid(scene, pose, distance, surface, edge=edge, rise=rise, round_top=round_top, form=form)
