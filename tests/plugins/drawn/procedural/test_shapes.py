"""Signed distances of shapes, reliefs over them, and strokes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsad_plugins.drawn.procedural import relief, shapes, strokes
from zsad_plugins.drawn.procedural.canvas import whole

U, V = (
    axis.astype(np.float64) for axis in np.meshgrid(np.linspace(-1.5, 1.5, 31), np.linspace(-1.5, 1.5, 31))
)
STEP = 0.1
LENGTH = st.floats(0.1, 1.0)


def area(distance, span=3.0):
    return (distance < 0).mean() * span**2


@given(LENGTH)
def test_disc_and_ring(radius):
    away = np.hypot(U, V)
    np.testing.assert_allclose(shapes.disc(U, V, radius), away - radius)
    np.testing.assert_allclose(shapes.ring(U, V, radius, 0.05), np.abs(away - radius) - 0.05)


@given(LENGTH, LENGTH)
def test_an_oval_is_exact_on_its_axes_and_a_disc_where_it_is_round(wide, high):
    distance = shapes.oval(np.array([wide, 0, 0]), np.array([0, high, 0]), wide, high)
    np.testing.assert_allclose(distance, [0, 0, -min(wide, high)], atol=1e-9)
    np.testing.assert_allclose(shapes.oval(U, V, wide, wide), shapes.disc(U, V, wide), atol=1e-9)


@given(LENGTH, LENGTH, st.floats(0, 1.2))
def test_a_box_has_its_sides_whatever_its_corners(wide, high, rounding):
    at = np.array([wide, -wide, 0, 0]), np.array([0, 0, high, -high])
    np.testing.assert_allclose(shapes.box(*at, wide, high, rounding), 0, atol=1e-9)
    inside = (np.abs(U) < wide) & (np.abs(V) < high)
    assert not (shapes.box(U, V, wide, high, rounding) < -1e-9)[~inside].any()


def test_a_round_box_is_a_disc_and_a_short_bar_too():
    np.testing.assert_allclose(shapes.box(U, V, 0.6, 0.6, 0.6), shapes.disc(U, V, 0.6), atol=1e-9)
    np.testing.assert_allclose(
        shapes.bar(U, V, (0.0, 0.0), (0.0, 0.0), 0.4), shapes.disc(U, V, 0.4), atol=1e-9
    )


DISTANCES = {
    "disc": lambda: shapes.disc(U, V, 0.7),
    "ring": lambda: shapes.ring(U, V, 0.8, 0.2),
    "box": lambda: shapes.box(U, V, 0.7, 0.4, 0.1),
    "bar": lambda: shapes.bar(U, V, (-0.5, 0.2), (0.6, -0.3), 0.2),
    "polygon": lambda: shapes.polygon(U, V, 5, 0.7),
    "arc": lambda: shapes.arc(U, V, 0.8, 0.9, 0.2),
    "oval": lambda: shapes.oval(U, V, 0.9, 0.5),
}


@pytest.mark.parametrize("name", DISTANCES)
def test_distances_never_change_faster_than_the_place(name):
    distance = DISTANCES[name]()
    for axis in (0, 1):
        assert np.abs(np.diff(distance, axis=axis)).max() <= STEP + 1e-9
    assert (distance < 0).any()
    assert (distance > 0).any()


@given(st.integers(3, 12), LENGTH)
def test_a_polygon_has_its_inner_radius(sides, radius):
    distance = shapes.polygon(U, V, sides, radius)
    # No point of it lies farther out than its corners, none of its sides nearer than the radius.
    assert (np.hypot(U, V)[distance < 0] <= radius / math.cos(math.pi / sides) + 1e-9).all()
    assert (distance <= np.hypot(U, V) - radius + 1e-9).all()
    assert float(shapes.polygon(np.zeros(1), np.zeros(1), sides, radius)[0]) == pytest.approx(-radius)


def test_an_arc_ends_where_it_should():
    ends = np.array([0.8 * math.cos(0.9)]), np.array([0.8 * math.sin(0.9)])
    assert shapes.arc(*ends, 0.8, 0.9, 0.1) == pytest.approx(-0.1)
    assert shapes.arc(np.array([0.8]), np.array([0.0]), 0.8, 0.9, 0.1) == pytest.approx(-0.1)
    assert shapes.arc(np.array([-0.8]), np.array([0.0]), 0.8, 0.9, 0.1) > 0.5


def test_lobes_and_teeth_swing_around_the_radius():
    plain = shapes.lobed(U, V, 0.7, np.zeros(3), np.zeros(3))
    np.testing.assert_allclose(plain, shapes.disc(U, V, 0.7), atol=1e-9)
    swung = shapes.lobed(U, V, 0.7, np.array([0.0, 0.2]), np.zeros(2))
    assert np.abs(swung - plain).max() == pytest.approx(0.14, abs=0.01)
    angle = np.linspace(0, 2 * math.pi, 720, endpoint=False) + 1e-3
    rim = shapes.toothed(np.cos(angle), np.sin(angle), 12, 1.0, 0.2, 3.0)
    assert (np.diff(np.sign(rim)) != 0).sum() in (23, 24), "two flanks a tooth"


@given(LENGTH, st.floats(-0.5, 0.5), st.floats(0.01, 0.3))
def test_joining_holds_both_and_cutting_leaves_neither(radius, shift, softness):
    first, second = shapes.disc(U, V, radius), shapes.box(U - shift, V, 0.3, 0.5)
    both = shapes.joined(first, second, softness)
    assert (both <= np.minimum(first, second) + 1e-9).all()
    assert (both >= np.minimum(first, second) - softness / 4 - 1e-9).all()
    np.testing.assert_array_equal(shapes.without(first, second) < 0, (first < 0) & (second > 0))


@given(st.floats(0.02, 0.5), st.floats(0.01, 0.5))
def test_reliefs_rise_from_the_outline_inwards(width, rise):
    distance = np.linspace(0.2, -1.0, 200)
    for height in (relief.bevelled(distance, width, rise), relief.domed(distance, width, rise)):
        assert (np.diff(height) >= -1e-12).all()
        assert height.max() <= rise + 1e-12
        assert height[0] == height[distance > 0][-1] == pytest.approx(0, abs=0.01 * rise)
        assert (height[distance < -width] == height[-1]).all()


@given(st.integers(0, 999), st.floats(0.1, 2.0), st.integers(2, 30))
def test_paths_have_about_their_length(seed, length, steps):
    path = strokes.wander(np.random.default_rng(seed), (0.2, -0.1), 0.5, length, steps=steps, wobble=0.0)
    assert path.shape == (steps + 1, 2)
    assert path.dtype == np.float32
    assert path[0] == pytest.approx((0.2, -0.1))
    travelled = np.hypot(*np.diff(path, axis=0).T).sum()
    assert 0.6 * length - 1e-3 <= travelled <= 1.4 * length + 1e-3
    centred = strokes.centred(path, (0.0, 0.3))
    assert centred[len(path) // 2] == pytest.approx((0.0, 0.3), abs=1e-6)
    np.testing.assert_allclose(np.diff(centred, axis=0), np.diff(path, axis=0), atol=1e-6)


def test_strokes_thin_out_towards_their_ends():
    widths = strokes.tapered(np.random.default_rng(0), 21, 0.1)
    assert widths[10] > 2 * max(widths[0], widths[-1])
    assert widths.max() <= 0.125 + 1e-6


def test_a_stroke_covers_its_line_and_nothing_else():
    canvas = whole(64)
    out = np.zeros((64, 64), np.float32)
    path = np.array([[-0.5, 0.0], [0.0, 0.0], [0.5, 0.0]], np.float32)
    strokes.stroke(canvas, out, path, np.full(3, 0.2, np.float32), 0.8)
    assert out.max() == pytest.approx(0.8)
    assert out.sum() * canvas.pixel**2 == pytest.approx(0.8 * (0.2 + math.pi * 0.01), rel=0.05)
    assert (out[np.abs(canvas.y) > 0.1 + canvas.pixel] == 0).all()


def test_lines_thinner_than_a_pixel_fade_and_the_larger_value_stays():
    canvas = whole(64)
    path = np.array([[-0.5, 0.0], [0.5, 0.0]], np.float32)
    sums = []
    for width in (0.25, 0.5, 1.0):
        out = np.zeros((64, 64), np.float32)
        strokes.stroke(canvas, out, path, np.full(2, width * canvas.pixel, np.float32))
        sums.append(out.sum())
    assert sums[0] * 2 == pytest.approx(sums[1], rel=0.01)
    assert sums[1] * 2 == pytest.approx(sums[2], rel=0.01)
    full = np.ones((64, 64), np.float32)
    strokes.stroke(canvas, full, path, np.full(2, 0.1, np.float32), 0.5)
    assert (full == 1).all()


def test_strokes_outside_the_plane_draw_nothing():
    canvas, out = whole(32), np.zeros((32, 32), np.float32)
    strokes.stroke(canvas, out, np.array([[3, 3], [4, 3]], np.float32), np.full(2, 0.1, np.float32))
    assert not out.any()
