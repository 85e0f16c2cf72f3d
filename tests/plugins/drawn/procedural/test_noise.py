"""Random fields."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsad_plugins.drawn.procedural import noise
from zsad_plugins.drawn.procedural.canvas import whole

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.integers(16, 80)


def generator(seed):
    return np.random.default_rng(seed)


@given(SEEDS, SIZES, st.floats(0.1, 200), st.none() | st.floats(0.1, 50))
def test_smooth_noise_has_its_shape_and_is_bounded(seed, size, cells, down):
    field = noise.smooth(generator(seed), size, cells, down)
    assert field.shape == (size, size)
    assert field.dtype == np.float32
    assert np.isfinite(field).all()
    assert np.abs(field).max() < 15
    np.testing.assert_array_equal(field, noise.smooth(generator(seed), size, cells, down))


@given(SEEDS, SIZES, st.floats(0.5, 60), st.integers(1, 6), st.floats(0.1, 0.9))
def test_fractal_noise_has_its_shape_and_is_bounded(seed, size, cells, octaves, gain):
    field = noise.fractal(generator(seed), size, cells, octaves, gain)
    assert field.shape == (size, size)
    assert field.dtype == np.float32
    assert np.abs(field).max() < 15


# Below about four waves a narrow band may hold none of the frequencies that a small plane has.
@given(SEEDS, SIZES, st.floats(4, 200), st.floats(0.25, 1.0), st.floats(-7, 7), st.floats(1, 20))
def test_banded_noise_has_zero_mean_and_unit_variance(seed, size, waves, width, angle, stretch):
    field = noise.banded(generator(seed), size, waves, width=width, angle=angle, stretch=stretch)
    assert field.shape == (size, size)
    assert field.dtype == np.float32
    assert np.isfinite(field).all()
    assert field.mean() == pytest.approx(0, abs=1e-3)
    assert field.std() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("draw", [noise.smooth, noise.fractal])
def test_smooth_and_fractal_noise_have_about_unit_variance(draw):
    power = np.mean([np.mean(draw(generator(seed), 64, 12) ** 2) for seed in range(40)])
    assert power == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("waves", [5, 12, 25])
def test_banded_noise_has_the_wavelength_that_is_asked_for(waves):
    field = noise.banded(generator(0), 128, waves, width=0.2)
    spectrum = np.abs(np.fft.fft2(field)) ** 2
    across = np.fft.fftfreq(128, 1 / 128)
    radius = np.hypot(across[:, None], across[None])
    assert (spectrum * radius).sum() / spectrum.sum() == pytest.approx(waves, rel=0.15)


def test_banded_noise_is_drawn_out_along_its_angle():
    field = noise.banded(generator(0), 128, 20, stretch=10, angle=0.0)
    along, aside = (np.abs(np.diff(field, axis=axis)).mean() for axis in (1, 0))
    assert aside > 4 * along
    turned = noise.banded(generator(0), 128, 20, stretch=10, angle=np.pi / 2)
    along, aside = (np.abs(np.diff(turned, axis=axis)).mean() for axis in (1, 0))
    assert along > 4 * aside


def test_more_cells_make_finer_noise():
    steps = [np.abs(np.diff(noise.smooth(generator(0), 64, cells), axis=1)).mean() for cells in (2, 8, 24)]
    assert steps[0] < steps[1] < steps[2]


@given(SEEDS, st.floats(0, 1), st.floats(-100, 100), st.integers(2, 64))
def test_cells_are_ordered_and_numbered(seed, jitter, offset, period):
    axis = np.linspace(offset, offset + 5, 24, dtype=np.float32)
    u, v = np.meshgrid(axis, axis)
    nearest, second, number = noise.cells(generator(seed), u, v, jitter, period)
    assert (nearest >= 0).all()
    assert (nearest <= second).all()
    assert nearest.max() < np.sqrt(2) + 0.01
    assert number.dtype == np.int32
    assert 0 <= number.min() <= number.max() < period**2


def test_cells_without_jitter_are_a_square_lattice():
    axis = np.arange(0.05, 4, 0.1, dtype=np.float32)
    u, v = np.meshgrid(axis, axis)
    nearest, _, number = noise.cells(generator(0), u, v, 0.0)
    np.testing.assert_allclose(nearest, np.hypot(u % 1 - 0.5, v % 1 - 0.5), atol=1e-5)
    np.testing.assert_array_equal(number, np.floor(v).astype(int) * 64 + np.floor(u).astype(int))


@given(SEEDS, st.integers(2, 60))
def test_profiles_depend_on_their_place_alone_and_end_flat(seed, knots):
    t = np.linspace(-2, 2, 41, dtype=np.float32)
    values = noise.profile(generator(seed), t, knots)
    assert values.dtype == np.float32
    assert (values[t < -1] == values[0]).all()
    assert (values[t > 1] == values[-1]).all()
    np.testing.assert_array_equal(noise.profile(generator(seed), t[::-1], knots), values[::-1])


@given(st.floats(-5, 5, width=32), st.integers(1, 30), SIZES)
def test_resizing_keeps_a_plain_field(value, side, size):
    field = noise.resized(np.full((side, side), value, np.float32), size)
    assert field.shape == (size, size)
    np.testing.assert_allclose(field, value, rtol=1e-5, atol=1e-6)


def test_resizing_keeps_a_ramp_inside():
    ramp = np.tile(np.arange(16, dtype=np.float32), (16, 1))
    field = noise.resized(ramp, 64)
    np.testing.assert_allclose(np.diff(field[30, 12:52]), 0.25, atol=1e-5)
    np.testing.assert_allclose(np.diff(field[12:52, 30]), 0, atol=1e-5)


@given(st.floats(-10, 10))
def test_turning_keeps_lengths(angle):
    canvas = whole(16)
    along, across = noise.turned(canvas, angle)
    np.testing.assert_allclose(along**2 + across**2, canvas.x**2 + canvas.y**2, atol=1e-5)
    quarter, _ = noise.turned(canvas, angle + np.pi / 2)
    np.testing.assert_allclose(quarter, across, atol=1e-5)
