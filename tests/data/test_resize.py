"""Resizing against Pillow's arithmetic written out, and against one call of a Pillow that goes this way."""

from __future__ import annotations

import hashlib
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from tests.data.resampling import ACROSS_FIRST, resampled
from zsad.data.resize import Filter, resize

FILTERS = get_args(Filter)
KINDS = ("RGB", "L", "F")
SHAPES = [(96, 50), (50, 96), (64, 64), (210, 9), (9, 210), (1, 7)]
TARGETS = [(37, 37), (128, 128), (20, 150), (150, 20), (1, 1), (96, 30), (30, 96)]


def noise(kind: str, height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng([height, width])
    if kind == "F":
        return rng.normal(0.3, 2, (height, width)).astype(np.float32)
    shape = (height, width, 3) if kind == "RGB" else (height, width)
    # Sharp edges, where the bicubic filter overshoots, between values of all sizes.
    return (rng.integers(0, 2, shape) * 255 * rng.random(shape) ** 0.2).astype(np.uint8)


@pytest.mark.parametrize("how", FILTERS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_is_the_arithmetic_of_pillow_across_first(shape, kind, how) -> None:
    pixels = noise(kind, *shape)
    for target in TARGETS:
        found, wanted = resize(pixels, *target, how), resampled(pixels, *target, how)
        assert found.shape == wanted.shape == (*target, *pixels.shape[2:]) and found.dtype == pixels.dtype
        if kind == "F":  # compilers may keep more digits between a product and its sum
            np.testing.assert_array_max_ulp(found, wanted, maxulp=1)
        else:
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.skipif(not ACROSS_FIRST, reason="its single call turns tall images round")
@pytest.mark.parametrize("how", FILTERS)
@pytest.mark.parametrize("kind", KINDS)
def test_is_one_call_of_pillow_before_13(kind, how) -> None:
    for shape in SHAPES:
        pixels = noise(kind, *shape)
        for height, width in [*TARGETS, shape, shape[::-1], (shape[0], 40), (40, shape[1])]:
            one = Image.fromarray(pixels).resize((width, height), Image.Resampling[how.upper()])
            np.testing.assert_array_equal(resize(pixels, height, width, how), np.asarray(one))


@pytest.mark.parametrize(
    ("how", "digest"),
    [
        ("nearest", "4dc0ca48d3fa480e"),
        ("box", "f7db3b11615cb7a5"),
        ("bilinear", "1ed773138bd533f0"),
        ("bicubic", "136c15b9cd3acd51"),
    ],
)
def test_hashes_of_8_bit_images(how, digest) -> None:
    """Made by single calls of Pillow 12.3."""
    found = hashlib.sha256()
    for height, width in [(517, 333), (333, 517), (400, 400)]:
        rows, columns = np.mgrid[:height, :width]
        pixels = np.dstack([rows * 4, columns * 3, rows * columns]).astype(np.uint8)
        for target in [(240, 240), (518, 518)]:
            found.update(resize(pixels, *target, how).tobytes())
    assert found.hexdigest()[:16] == digest


@pytest.mark.parametrize(("how", "least"), [("box", 0.02), ("bilinear", 0.1), ("bicubic", 0.1)])
def test_the_order_decides_on_grey_levels(how, least) -> None:
    # Far from black and white, where the bicubic filter's overshoot is cut.
    pixels = np.random.default_rng(0).integers(90, 160, (517, 333), dtype=np.uint8)
    across = resize(pixels, 240, 240, how).astype(int)
    down = resize(np.ascontiguousarray(pixels.T), 240, 240, how).T.astype(int)
    assert least < (across != down).mean() < 0.3 and np.abs(across - down).max() == 1


def test_the_result_is_a_copy() -> None:
    for pixels in (noise("RGB", 20, 30), noise("F", 20, 30)):
        before = pixels.copy()
        for target in ((20, 30), (10, 30), (20, 15), (7, 7)):
            found = resize(pixels, *target, "bilinear")
            found += 1
            np.testing.assert_array_equal(pixels, before)


def test_strided_and_read_only_pixels() -> None:
    view = noise("RGB", 40, 60)[::2, ::-1]
    view.flags.writeable = False
    np.testing.assert_array_equal(resize(view, 9, 14, "bicubic"), resize(view.copy(), 9, 14, "bicubic"))


def test_no_size_at_all() -> None:
    with pytest.raises(ValueError, match="height and width must be > 0"):
        resize(noise("L", 4, 4), 0, 4, "box")
