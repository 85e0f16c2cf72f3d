"""Marks that look like print: strokes of letters, bars, rings, arrows. No real writing is needed."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from zsad_plugins.drawn.procedural.canvas import Canvas, Field, Pose, coverage
from zsad_plugins.drawn.procedural.chance import between, chance, whole_number
from zsad_plugins.drawn.procedural.shapes import bar, box, disc, polygon, ring

_NODES = (
    (-0.3, -0.5),
    (0.3, -0.5),
    (-0.3, 0.0),
    (0.3, 0.0),
    (-0.3, 0.5),
    (0.3, 0.5),
    (0.0, -0.5),
    (0.0, 0.5),
)


def text_line(rng: np.random.Generator, canvas: Canvas, pose: Pose, length: float, out: Field) -> None:
    """Draw a line of letter-like signs into ``out``, centred in the pose, ``length`` high units long."""
    count = max(1, round(length / 0.85))
    weight = between(rng, 0.05, 0.11)
    for index in range(count):
        if count > 3 and chance(rng, 0.12):
            continue
        letter = pose.child((index - (count - 1) / 2) * 0.85, 0.0)
        area = canvas.window(letter.x, letter.y, letter.scale * 0.85)
        u, v = letter.apply(area)
        distance = np.full_like(u, 9.0)
        if chance(rng, 0.3):
            distance = ring(u * 1.5, v, 0.43, weight)
        order = rng.permutation(len(_NODES))
        for first, second in pairwise(order[:4]):
            np.minimum(distance, bar(u, v, _NODES[int(first)], _NODES[int(second)], weight), out=distance)
        _merge(out, area, coverage(distance, canvas.pixel / letter.scale))


def emblem(rng: np.random.Generator, canvas: Canvas, pose: Pose, out: Field) -> None:
    """Draw a simple sign of radius about 1: ring, polygon, star of bars, bars."""
    area = canvas.window(pose.x, pose.y, pose.scale * 1.5)
    u, v = pose.apply(area)
    kind = int(rng.integers(5))
    if kind == 0:
        distance = ring(u, v, 0.8, between(rng, 0.06, 0.2))
        distance = np.minimum(distance, disc(u, v, between(rng, 0.15, 0.5)))
    elif kind == 1:
        outline = polygon(u, v, whole_number(rng, 3, 8), 0.75)
        distance = np.abs(outline) - between(rng, 0.06, 0.15) if chance(rng, 0.5) else outline
    elif kind == 2:
        distance = np.full_like(u, 9.0)
        arms, weight = whole_number(rng, 3, 7), between(rng, 0.07, 0.18)
        for arm in range(arms):
            angle = 2 * math.pi * arm / arms
            end = (0.85 * math.cos(angle), 0.85 * math.sin(angle))
            np.minimum(distance, bar(u, v, (0.0, 0.0), end, weight), out=distance)
    elif kind == 3:
        distance = np.maximum(box(u, v, 0.9, 0.5), 0.12 - np.abs(np.mod(v * 2.2, 0.7) - 0.35))
    else:
        distance = np.minimum(box(u, v, 0.9, 0.16, 0.05), box(u - 0.35, v, 0.16, 0.7, 0.05))
    _merge(out, area, coverage(distance, canvas.pixel / pose.scale))


def barcode(rng: np.random.Generator, canvas: Canvas, pose: Pose, out: Field) -> None:
    """Draw bars of changing width, two units wide and one high."""
    area = canvas.window(pose.x, pose.y, pose.scale * 1.2)
    u, v = pose.apply(area)
    edges = np.cumsum(rng.integers(1, 5, 60)).astype(np.float32)
    edges = edges / edges[-1] * 2 - 1
    odd = np.searchsorted(edges, u.ravel()).reshape(u.shape) % 2
    inside = coverage(box(u, v, 1.0, 0.5), canvas.pixel / pose.scale)
    _merge(out, area, (odd * inside).astype(np.float32))


def _merge(out: Field, area: Canvas, cover: Field) -> None:
    block = out[area.rows, area.columns]
    np.maximum(block, cover, out=block)
