"""Perlin noise against its definition, point by point."""

from __future__ import annotations

import math

import numpy as np
import pytest

from zsad_plugins.generators.perlin import gradients, noise_at, perlin, perlin_mask


def slow_noise(lattice: np.ndarray, across: float, down: float) -> float:
    """Perlin, Improving Noise: offsets times gradients of four corners, blended by 6t^5 - 15t^4 + 10t^3."""
    column, row = math.floor(across), math.floor(down)
    total = 0.0
    for corner_row in (row, row + 1):
        for corner_column in (column, column + 1):
            gx, gy = lattice[corner_row][corner_column]
            dx, dy = across - corner_column, down - corner_row
            weight = 1.0
            for t in (1 - abs(dx), 1 - abs(dy)):
                weight *= 6 * t**5 - 15 * t**4 + 10 * t**3
            total += weight * (gx * dx + gy * dy)
    return math.sqrt(2) * total


def test_against_the_definition() -> None:
    rng = np.random.default_rng(0)
    lattice = gradients(rng, 5, 7)
    assert np.allclose(np.linalg.norm(lattice, axis=-1), 1, atol=1e-6)
    across, down = rng.uniform(0, 6, 300), rng.uniform(0, 4, 300)
    found = noise_at(lattice, across.astype(np.float32), down.astype(np.float32))
    wanted = [slow_noise(lattice.astype(float), *place) for place in zip(across, down, strict=True)]
    assert np.abs(found - wanted).max() < 2e-5


@pytest.mark.parametrize("degrees", [0, 90, -33.0])
def test_an_image_of_noise(degrees) -> None:
    shape, cells = (24, 40), (2, 8)
    found = perlin(np.random.default_rng(3), shape, cells, degrees)
    angle = math.radians(degrees)
    places = np.empty((*shape, 2))
    for row in range(shape[0]):
        for column in range(shape[1]):
            y, x = (row + 0.5) / shape[0] - 0.5, (column + 0.5) / shape[1] - 0.5
            places[row, column] = (
                (math.cos(angle) * y - math.sin(angle) * x + 0.5) * cells[0],
                (math.cos(angle) * x + math.sin(angle) * y + 0.5) * cells[1],
            )
    places -= np.floor(places.min(axis=(0, 1)))
    rows, columns = places.max(axis=(0, 1)).astype(int) + 2
    lattice = gradients(np.random.default_rng(3), rows, columns).astype(float)
    wanted = [[slow_noise(lattice, place[1], place[0]) for place in line] for line in places]
    assert np.abs(found - wanted).max() < 5e-5
    assert found.min() >= -1 and found.max() <= 1


def test_noise_vanishes_at_lattice_points_and_is_smooth() -> None:
    lattice = gradients(np.random.default_rng(1), 4, 4)
    corners = np.arange(3, dtype=np.float32)
    assert not noise_at(lattice, corners, corners[::-1].copy()).any()
    line = noise_at(lattice, np.linspace(0, 2.99, 3000, dtype=np.float32), np.full(3000, 1.3, np.float32))
    assert np.abs(np.diff(line)).max() < 0.01


def test_masks_are_the_noise_above_the_threshold() -> None:
    low, high = (
        np.array([perlin_mask(np.random.default_rng(s), (32, 32), 5, t).mean() for s in range(300)])
        for t in (0.2, 0.5)
    )
    assert (low >= high).all() and 0.2 < low.mean() < 0.35 and 0.03 < high.mean() < 0.09
    assert perlin_mask(np.random.default_rng(0), (1, 3), 5, 0.0).shape == (1, 3)
