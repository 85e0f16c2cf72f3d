from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from zsad_plugins.anomaly_dino.rotation import full_turn, rotated


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@given(st.integers(1, 40), st.integers(1, 40), st.floats(-720, 720))
def test_pixels_are_those_that_scipy_samples(height: int, width: int, degrees: float) -> None:
    image = picture(height, width)
    y, x = np.mgrid[:height, :width].astype(float)
    angle, dx, dy = np.deg2rad(degrees), x - width / 2, y - height / 2
    places = [
        height / 2 + np.sin(angle) * dx + np.cos(angle) * dy,
        width / 2 + np.cos(angle) * dx - np.sin(angle) * dy,
    ]
    channels = [
        map_coordinates(image[..., channel].astype(float), places, order=1, mode="mirror")
        for channel in range(3)
    ]
    apart = np.abs(rotated(image, degrees) - np.stack(channels, -1))
    assert apart.max() <= 0.51, "half a level of rounding"


@pytest.mark.parametrize("size", [(30, 30), (24, 33)])
def test_a_full_turn_begins_with_the_image_and_half_of_it_is_its_point_reflection(
    size: tuple[int, int],
) -> None:
    image = picture(*size)
    views = full_turn(image, 8)
    assert len(views) == 8 and all(view.shape == image.shape and view.dtype == np.uint8 for view in views)
    assert views[0] is image
    # (W / 2, H / 2) lies between pixels, so that the first row and column read what is mirrored.
    assert np.array_equal(views[4][1:, 1:], image[:0:-1, :0:-1])
    assert all((views[step] != image).any() for step in range(1, 8))


def test_a_quarter_goes_counter_clockwise() -> None:
    image = picture(20, 20)
    assert np.array_equal(rotated(image, 90)[1:, 1:], np.rot90(image)[:-1, 1:])
