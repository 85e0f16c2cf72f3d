"""Curved lines of changing width, drawn segment by segment in small windows."""

from __future__ import annotations

import math

import numpy as np

from zsad_plugins.drawn.procedural.canvas import Canvas, Field
from zsad_plugins.drawn.procedural.chance import between, turn


def wander(
    rng: np.random.Generator,
    start: tuple[float, float],
    angle: float,
    length: float,
    *,
    steps: int = 12,
    wobble: float = 0.15,
    bend: float = 0.0,
) -> Field:
    """Return the points [steps + 1, 2] of a path that wanders.

    Args:
        rng: Source of randomness.
        start: Where it begins.
        angle: Its first direction.
        length: Its length in plane units.
        steps: Number of segments.
        wobble: Standard deviation of the change of direction at each step, radians (it does not add up).
        bend: Change of direction from one end to the other, radians (it adds up evenly).
    """
    headings = angle + np.linspace(0, bend, steps) + rng.normal(0, wobble, steps)
    strides = (length / steps) * rng.uniform(0.6, 1.4, steps)
    moves = np.stack([np.cos(headings), np.sin(headings)], axis=1) * strides[:, None]
    path: Field = np.concatenate([np.zeros((1, 2)), np.cumsum(moves, axis=0)]) + np.array(start)
    return path.astype(np.float32)


def centred(path: Field, at: tuple[float, float]) -> Field:
    """Return the path moved so that its middle point lies at the given place."""
    moved: Field = path - path[len(path) // 2] + np.array(at, dtype=np.float32)
    return moved


def tapered(rng: np.random.Generator, count: int, width: float, sharpness: float = 0.6) -> Field:
    """Return widths [count] that thin out towards both ends and vary a little."""
    t = np.linspace(0.03, 0.97, count)
    return (width * np.sin(math.pi * t) ** sharpness * rng.uniform(0.75, 1.25, count)).astype(np.float32)


def stroke(canvas: Canvas, out: Field, path: Field, widths: Field, strength: float = 1.0) -> None:
    """Draw a line into ``out`` [S, S] (the larger value stays): coverage times ``strength``.

    Args:
        canvas: The whole plane.
        out: Field to draw into.
        path: Points [N, 2] in plane units.
        widths: Width at each point [N] in plane units; below one pixel the line fades instead.
        strength: Highest value written.
    """
    pixel = canvas.pixel
    points, sizes = path.tolist(), widths.tolist()
    for (ax, ay), (bx, by), first, second in zip(points[:-1], points[1:], sizes[:-1], sizes[1:], strict=True):
        reach = 0.5 * max(math.hypot(bx - ax, by - ay), 0.0) + 0.5 * max(first, second) + pixel
        x, y = 0.5 * (ax + bx), 0.5 * (ay + by)
        if max(abs(x), abs(y)) > 1 + reach:
            continue
        area = canvas.window(x, y, reach)
        dx, dy = bx - ax, by - ay
        px, py = area.x - ax, area.y - ay
        along = np.clip((px * dx + py * dy) * (1.0 / (dx * dx + dy * dy + 1e-12)), 0, 1)
        px, py = px - along * dx, py - along * dy
        width = first + along * (second - first)
        half = np.maximum(width, pixel) * 0.5
        # The overlap of a pixel with a band, and a fainter line where the band is thinner than a pixel.
        cover = np.clip((half - np.sqrt(px * px + py * py)) * (1.0 / pixel) + 0.5, 0, 1)
        cover = cover * np.minimum(width * (1.0 / pixel), 1) * strength
        block = out[area.rows, area.columns]
        np.maximum(block, cover, out=block)


def curve(rng: np.random.Generator, at: tuple[float, float], length: float, bend: float = 1.5) -> Field:
    """Return a smoothly curved short path centred at a place, as hairs and fibres lie."""
    path = wander(
        rng,
        (0.0, 0.0),
        turn(rng),
        length,
        steps=10,
        wobble=0.12,
        bend=between(rng, -bend, bend),
    )
    return centred(path, at)
