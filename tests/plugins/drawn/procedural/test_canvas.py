"""The drawing plane, windows of it, and poses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsad_plugins.drawn.procedural.canvas import Pose, coverage, smoothstep, whole

SMALL = st.floats(-2, 2)


def test_the_plane_goes_from_minus_one_to_one():
    canvas = whole(8)
    assert canvas.pixel == 0.25
    np.testing.assert_allclose(canvas.x[3], np.arange(8) * 0.25 - 0.875)
    np.testing.assert_array_equal(canvas.x, canvas.y.T)
    assert whole(8) is canvas
    with pytest.raises(ValueError, match="read-only"):
        canvas.x[0, 0] = 1


@given(st.integers(32, 90), st.floats(-3, 3), st.floats(-3, 3), st.floats(0, 3))
def test_a_window_holds_every_pixel_within_its_radius(size, x, y, radius):
    canvas = whole(size)
    area = canvas.window(x, y, radius)
    assert area.x.shape == area.y.shape == canvas.x[area.rows, area.columns].shape
    assert area.x.size >= 1
    np.testing.assert_array_equal(area.x, canvas.x[area.rows, area.columns])
    inside = np.hypot(canvas.x - x, canvas.y - y) <= radius
    window = np.zeros_like(inside)
    window[area.rows, area.columns] = True
    assert (window | ~inside).all()


@given(SMALL, SMALL, st.floats(-7, 7), st.floats(0.05, 3), SMALL, SMALL)
def test_a_pose_and_its_points_agree(x, y, angle, scale, u, v):
    pose = Pose(x, y, angle, scale)
    at = pose.point(u, v)
    single = whole(32).window(0, 0, 0)
    moved = type(single)(32, np.array([[at[0]]]), np.array([[at[1]]]), single.rows, single.columns)
    found = pose.apply(moved)
    assert found[0][0, 0] == pytest.approx(u, abs=1e-6)
    assert found[1][0, 0] == pytest.approx(v, abs=1e-6)


@given(SMALL, SMALL, st.floats(-7, 7), st.floats(0.1, 2), SMALL, SMALL)
def test_a_child_lies_where_its_parent_says(x, y, angle, scale, u, v):
    pose = Pose(0.3, -0.2, angle, scale)
    child = pose.child(x, y, 0.7, 0.5)
    assert (child.x, child.y) == pose.point(x, y)
    assert child.angle == angle + 0.7
    assert child.scale == scale * 0.5
    turned = (0.5 * (np.cos(0.7) * u - np.sin(0.7) * v), 0.5 * (np.sin(0.7) * u + np.cos(0.7) * v))
    assert child.point(u, v) == pytest.approx(pose.point(x + turned[0], y + turned[1]), abs=1e-6)


@given(st.floats(-5, 5), st.floats(0.001, 1))
def test_coverage_is_a_share(distance, pixel):
    share = float(coverage(np.array([distance]), pixel)[0])
    assert 0 <= share <= 1
    assert share == (1 if distance <= -pixel / 2 else 0 if distance >= pixel / 2 else share)
    assert share + float(coverage(np.array([-distance]), pixel)[0]) == pytest.approx(1)


@given(st.floats(-3, 3), st.floats(0.01, 3), st.floats(-5, 5))
def test_smoothstep_rises_or_falls_between_its_ends(low, width, value):
    rising = float(smoothstep(low, low + width, np.array([value]))[0])
    falling = float(smoothstep(low + width, low, np.array([value]))[0])
    assert 0 <= rising <= 1
    assert rising + falling == pytest.approx(1, abs=1e-6)
    if value <= low:
        assert rising == 0
    middle = smoothstep(low, low + width, np.array([low + width / 2]))
    assert float(middle[0]) == pytest.approx(0.5)
