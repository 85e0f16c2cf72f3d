"""Signed distances of flat shapes in object coordinates: negative inside, in object units."""

from __future__ import annotations

import math

import numpy as np

from zsad_plugins.drawn.procedural.canvas import Field


def disc(u: Field, v: Field, radius: float) -> Field:
    """Return the distance to a disc."""
    return np.sqrt(u * u + v * v) - radius


def ring(u: Field, v: Field, radius: float, half_width: float) -> Field:
    """Return the distance to a ring around the origin."""
    return np.abs(np.sqrt(u * u + v * v) - radius) - half_width


def oval(u: Field, v: Field, half_width: float, half_height: float) -> Field:
    """Return about the distance to an ellipse (exact on its outline's axes)."""
    a, b = u * (1.0 / half_width), v * (1.0 / half_height)
    distance: Field = (np.sqrt(a * a + b * b) - 1.0) * min(half_width, half_height)
    return distance


def box(u: Field, v: Field, half_width: float, half_height: float, rounding: float = 0.0) -> Field:
    """Return the distance to a box with rounded corners."""
    rounding = min(rounding, half_width, half_height)
    a, b = np.abs(u) - (half_width - rounding), np.abs(v) - (half_height - rounding)
    outside = np.sqrt(np.maximum(a, 0) ** 2 + np.maximum(b, 0) ** 2)
    distance: Field = outside + np.minimum(np.maximum(a, b), 0) - rounding
    return distance


def bar(u: Field, v: Field, start: tuple[float, float], end: tuple[float, float], half_width: float) -> Field:
    """Return the distance to a straight bar with round ends."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    a, b = u - start[0], v - start[1]
    along = np.clip((a * dx + b * dy) * (1.0 / (dx * dx + dy * dy + 1e-12)), 0, 1)
    a, b = a - along * dx, b - along * dy
    return np.sqrt(a * a + b * b) - half_width


def polygon(u: Field, v: Field, sides: int, radius: float, rounding: float = 0.0) -> Field:
    """Return the distance to a regular polygon with the given inner radius and rounded corners."""
    inner, sector = radius - rounding, 2 * math.pi / sides
    angle = np.arctan2(v, u)
    # Every point is turned into the sector of the side that is nearest to it.
    angle -= sector * np.round(angle * (1 / sector))
    away = np.sqrt(u * u + v * v)
    across = away * np.cos(angle) - inner
    beyond = away * np.abs(np.sin(angle)) - inner * math.tan(sector / 2)
    distance: Field = np.where(beyond > 0, np.sqrt(across * across + beyond * beyond), across) - rounding
    return distance.astype(u.dtype)


def arc(u: Field, v: Field, radius: float, half_angle: float, half_width: float) -> Field:
    """Return the distance to a bent bar with round ends, its middle at (radius, 0)."""
    v = np.abs(v)
    cosine, sine = math.cos(half_angle), math.sin(half_angle)
    beyond = u * sine - v * cosine < 0
    a, b = u - radius * cosine, v - radius * sine
    return np.where(beyond, np.sqrt(a * a + b * b), np.abs(np.sqrt(u * u + v * v) - radius)) - half_width


def lobed(u: Field, v: Field, radius: float, amplitudes: Field, phases: Field) -> Field:
    """Return about the distance to a disc whose radius swings with the angle.

    Args:
        u: First coordinate.
        v: Second coordinate.
        radius: Mean radius.
        amplitudes: Relative swing for 1, 2, 3 ... waves around, [K].
        phases: Phase of each, radians, [K].
    """
    angle = np.arctan2(v, u)
    swing = np.ones_like(u)
    for number, (amplitude, phase) in enumerate(zip(amplitudes.tolist(), phases.tolist(), strict=True)):
        swing += amplitude * np.cos(angle * float(number + 1) + phase)
    distance: Field = np.sqrt(u * u + v * v) - swing * radius
    return distance


def toothed(u: Field, v: Field, teeth: int, radius: float, depth: float, steepness: float) -> Field:
    """Return about the distance to a disc with teeth around it."""
    wave = np.clip(np.cos(np.arctan2(v, u) * float(teeth)) * steepness, -1, 1)
    return (np.sqrt(u * u + v * v) - (radius + wave * (0.5 * depth))) * 0.8


def joined(first: Field, second: Field, softness: float) -> Field:
    """Return the union of two shapes with a soft fillet between them."""
    share = np.clip(0.5 + (second - first) * (0.5 / softness), 0, 1)
    return second + (first - second) * share - softness * share * (1 - share)


def without(shape: Field, hole: Field) -> Field:
    """Return the first shape less the second."""
    return np.maximum(shape, -hole)
