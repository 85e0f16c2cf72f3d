"""Overlays of anomaly maps."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsad.data.pictures import captioned, colours, overlay, overlay_above
from zsad.errors import InputError


def picture(height=12, width=16):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def lightness(rgb):
    """CIE L* of sRGB colours in 0..255."""
    unit = np.asarray(rgb, dtype=np.float64) / 255
    linear = np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)
    luminance = linear @ np.array([0.2126, 0.7152, 0.0722])
    return np.where(luminance > 0.008856, 116 * np.cbrt(luminance) - 16, 903.3 * luminance)


def test_the_normal_end_shows_the_image_as_it_is():
    image = picture()
    for value in (0.2, -3.0, -np.inf):
        np.testing.assert_array_equal(overlay(image, np.full((12, 16), value), 0.2, 0.9), image)


def test_the_anomalous_end_is_three_quarters_colour():
    image = picture()
    expected = np.rint(0.25 * image.astype(np.float64) + 0.75 * np.array([252, 255, 164]))
    for value in (0.9, 5.0, np.inf):
        result = overlay(image, np.full((12, 16), value), 0.2, 0.9)
        assert np.abs(result - expected).max() <= 1


def test_the_middle_is_blended():
    image = np.full((1, 1, 3), 101, dtype=np.uint8)
    result = overlay(image, np.full((1, 1), 0.5, dtype=np.float32), 0.0, 1.0)
    expected = (1 - 0.375) * 101 + 0.375 * np.array([188, 55, 84])  # 133.6, 83.75, 94.6
    np.testing.assert_array_equal(result[0, 0], np.rint(expected))


@given(st.floats(-5, 5), st.floats(0.01, 5), st.floats(0, 1))
def test_the_scale_is_fixed(low, extent, level):
    """The colour of a pixel depends on its own value only, whatever else is in the map."""
    image = np.full((2, 2, 3), 90, dtype=np.uint8)
    value = low + level * extent
    alone = overlay(image, np.full((2, 2), value), low, low + extent)
    beside = overlay(image, np.array([[value, low - 9], [low + extent, low + 99]]), low, low + extent)
    np.testing.assert_array_equal(alone[0, 0], beside[0, 0])


def test_lightness_grows_evenly():
    steps = np.diff(lightness(colours(np.linspace(0, 1, 17))))
    assert (steps > 0).all()
    assert steps.max() < 2 * steps[1:].min()
    assert (np.diff(lightness(colours(np.linspace(0, 1, 256)))) > 0).all()


def test_colours_beyond_the_scale_are_those_of_its_ends():
    np.testing.assert_array_equal(
        colours(np.array([-2.0, 0.0, 1.0, np.inf]))[[0, 3]], [[0, 0, 4], [252, 255, 164]]
    )


def test_form_of_the_result():
    image = picture()
    before = image.copy()
    result = overlay(image, np.linspace(0, 1, 192).reshape(12, 16), 0, 1)
    assert result.shape == (12, 16, 3)
    assert result.dtype == np.uint8
    assert not np.shares_memory(result, image)
    np.testing.assert_array_equal(image, before)


def test_what_cannot_be_drawn_is_refused():
    image, zeros = picture(), np.zeros((12, 16))
    with pytest.raises(InputError, match="differ in size"):
        overlay(image, np.zeros((16, 12)), 0, 1)
    with pytest.raises(InputError, match="uint8"):
        overlay(image.astype(np.float32), zeros, 0, 1)
    with pytest.raises(InputError, match="NaN"):
        overlay(image, np.where(np.eye(12, 16) > 0, np.nan, 0.0), 0, 1)
    for low, high in ((1, 1), (2, 1), (0, np.inf), (np.nan, 1), (-1.7e308, 1.7e308)):
        with pytest.raises(InputError, match="colour scale"):
            overlay(image, zeros, low, high)


def test_no_torch_is_imported():
    code = "import sys, zsad.data.pictures, zsad.files, zsad.data.images; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@given(
    st.floats(-10, 10),
    st.floats(1e-6, 10),
    st.lists(st.floats(-20, 20, width=32), min_size=1, max_size=20),
)
def test_a_picture_above_a_threshold_shows_nothing_below_it(threshold, scale, values):
    row = np.array([values], np.float32)
    image = picture(1, len(values))
    result = overlay_above(image, row, threshold, scale)
    below = row.astype(np.float64) < threshold
    np.testing.assert_array_equal(result[below], image[below])
    # The colour of a pixel is its own: what else is in the image changes nothing.
    for place in range(len(values)):
        alone = overlay_above(image[:, [place]], row[:, [place]], threshold, scale)
        np.testing.assert_array_equal(alone, result[:, [place]])


def test_the_colour_above_a_threshold_is_that_of_the_sigmoid():
    image, steps = np.full((1, 5, 3), 200, np.uint8), np.array([[0.0, 0.5, 1.0, 3.0, np.inf]])
    share = 1 / (1 + np.exp(-steps[0]))
    result = overlay_above(image, steps * 0.2 + 0.6, 0.6, 0.2)
    for place in range(5):
        alone = overlay(image[:, :1], np.full((1, 1), share[place]), 0, 1)
        np.testing.assert_allclose(result[:, [place]].astype(int), alone.astype(int), atol=1)
    np.testing.assert_array_equal(result[:, :1], overlay(image[:, :1], np.full((1, 1), 0.5), 0, 1))


@pytest.mark.parametrize("scale", [0, -1, np.nan, np.inf])
def test_a_threshold_without_a_scale_is_refused(scale):
    with pytest.raises(InputError, match="no colour scale"):
        overlay_above(picture(), np.zeros((12, 16)), 0.5, scale)
    with pytest.raises(InputError, match="NaN"):
        overlay_above(picture(1, 1), np.full((1, 1), np.nan), 0.5, 1)


@pytest.mark.parametrize("width", [16, 400, 1200])
def test_a_caption_stands_under_the_image_and_is_read_line_by_line(width):
    image = picture(12, width)
    text = "normal (confidence 0.075): the score lies below the threshold; no region above the threshold " * 3
    result = captioned(image, text)
    assert result.dtype == np.uint8 and result.shape[1] == max(width, 400)
    np.testing.assert_array_equal(result[:12, :width], image)
    strip = result[12:].astype(int).sum(2) < 3 * 120
    assert strip.any() and not strip[:, -1].any()
    fewer = captioned(image, text[:40])
    assert fewer.shape[0] < result.shape[0]
    np.testing.assert_array_equal(captioned(image, text), result)
