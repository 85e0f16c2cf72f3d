"""Colours as float32 [3] in 0..1, and mixing them over a field."""

from __future__ import annotations

import colorsys

import numpy as np

from zsad_plugins.drawn.procedural.canvas import Field
from zsad_plugins.drawn.procedural.chance import between


def colour(hue: float, saturation: float, value: float) -> Field:
    """Return a colour from hue (a whole turn is 1), saturation and value."""
    saturation, value = min(max(saturation, 0.0), 1.0), min(max(value, 0.0), 1.0)
    return np.array(colorsys.hsv_to_rgb(hue % 1.0, saturation, value), dtype=np.float32)


def drawn(
    rng: np.random.Generator,
    hue: tuple[float, float] = (0.0, 1.0),
    saturation: tuple[float, float] = (0.0, 0.8),
    value: tuple[float, float] = (0.15, 0.9),
) -> Field:
    """Return a colour drawn from ranges of hue, saturation and value."""
    return colour(between(rng, *hue), between(rng, *saturation), between(rng, *value))


def grey(value: float) -> Field:
    """Return a neutral colour."""
    return np.full(3, value, dtype=np.float32)


def near(rng: np.random.Generator, base: Field, spread: float = 0.08) -> Field:
    """Return a colour a little lighter or darker and a little off in hue."""
    shift = between(rng, -spread, spread) + rng.normal(0, spread * 0.25, 3)
    return np.clip(base + shift, 0, 1).astype(np.float32)


def contrasting(rng: np.random.Generator, base: Field, least: float = 0.25) -> Field:
    """Return a colour whose brightness differs from ``base`` by ``least`` or more, where there is room."""
    brightness = min(max(float(base.mean()), 0.0), 1.0)
    room_below, room_above = brightness - least, 1.0 - least - brightness
    darker = room_above <= 0 or (room_below > 0 and between(rng, 0, 1) < 0.5)
    level = (
        between(rng, 0.02, max(room_below, 0.03))
        if darker
        else between(rng, min(brightness + least, 0.97), 0.98)
    )
    tinted = drawn(rng, saturation=(0.0, 0.7), value=(0.8, 1.0))
    scaled: Field = np.clip(tinted * (level / float(tinted.mean())), 0, 1)
    if abs(float(scaled.mean()) - brightness) < least:
        # A strong tint loses brightness where a channel clips.
        scaled = np.full(3, level)
    return scaled.astype(np.float32)


def mixed(first: Field, second: Field, share: Field) -> Field:
    """Return colours from ``first`` (share 0) to ``second`` (share 1), [..., 3]."""
    blend: Field = share[..., None] * (second - first)
    blend += first
    return blend


def plain(size: int, base: Field) -> Field:
    """Return a field [size, size, 3] of one colour."""
    return np.ascontiguousarray(np.broadcast_to(base, (size, size, 3)))
