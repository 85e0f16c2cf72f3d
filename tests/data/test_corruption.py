"""Corruptions: what they do to pixels and masks, against references, and which are refused."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from zsad.data.corruption import KINDS, Corruption, corruption_words, parse_corruption
from zsad.data.corruption.kinds import GEOMETRIC, PHOTOMETRIC
from zsad.errors import InputError

SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40))


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def blob(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((height, width)) < 0.3


def strengths(kind: str) -> st.SearchStrategy[float]:
    given = KINDS[kind]
    whole = st.integers(int(given.low), int(given.high)).map(float)
    return whole if given.whole else st.floats(given.low, given.high).filter(lambda s: s != given.neutral)


CORRUPTIONS = st.sampled_from(sorted(KINDS)).flatmap(
    lambda kind: st.builds(Corruption, st.just(kind), strengths(kind))
)


@settings(max_examples=60, deadline=None)
@given(CORRUPTIONS, SIZES, st.integers(0, 3))
def test_an_image_of_the_same_form_the_same_every_time(corruption, size, seed) -> None:
    pixels, mask = noise(*size), blob(*size)
    before = pixels.copy(), mask.copy()
    first, moved = corruption(pixels, mask, seed)
    again, also = corruption(pixels.copy(), mask.copy(), seed)
    assert first.shape == pixels.shape and first.dtype == np.uint8
    assert moved.shape == mask.shape and moved.dtype == np.bool_
    assert np.array_equal(first, again) and np.array_equal(moved, also)
    assert np.array_equal(pixels, before[0]) and np.array_equal(mask, before[1])
    without, none = corruption(pixels, None, seed)
    assert none is None and np.array_equal(without, first)
    assert parse_corruption(str(corruption)) == corruption


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(PHOTOMETRIC)), SIZES, st.data())
def test_photometric_ones_leave_the_mask_as_it_is(kind, size, data) -> None:
    mask = blob(*size)
    corruption = Corruption(kind, data.draw(strengths(kind)))
    assert np.array_equal(corruption(noise(*size), mask)[1], mask)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(GEOMETRIC)), st.data())
def test_geometric_ones_move_the_mask_with_the_image(kind, data) -> None:
    """A picture of the mask moves to where the mask moves; only at its edge it is grey."""
    size = data.draw(st.tuples(st.integers(8, 60), st.integers(8, 60)))
    mask = np.zeros(size, np.bool_)
    mask[size[0] // 4 : size[0] // 2, size[1] // 3 : 2 * size[1] // 3] = True
    picture = np.repeat(np.where(mask, np.uint8(255), np.uint8(0))[..., None], 3, axis=2)
    pixels, moved = Corruption(kind, data.draw(strengths(kind)))(picture, mask)
    # The nearest of four pixels weighs a quarter or more in a bilinear mean.
    sure = (pixels[..., 0] < 63) | (pixels[..., 0] > 192)
    assert sure.mean() > 0.5 and np.array_equal(moved[sure], pixels[..., 0][sure] > 127)


def test_quarter_turns_are_exact() -> None:
    pixels, mask = noise(31, 31), blob(31, 31)
    for turns in (1, 2, -1):
        found, moved = Corruption("rotate", 90.0 * turns)(pixels, mask)
        assert np.array_equal(found, np.rot90(pixels, turns)) and np.array_equal(moved, np.rot90(mask, turns))


def test_translations_are_exact_and_mirror_what_comes_in() -> None:
    pixels, mask = noise(20, 30), blob(20, 30)
    found, moved = Corruption("translate", 0.1)(pixels, mask)  # 2 rows, 3 columns
    for mine, former in ((found, pixels), (moved, mask)):
        assert np.array_equal(mine[2:, 3:], former[:-2, :-3])
        assert np.array_equal(mine[:2, 3:], former[1::-1, :-3])
    back, _ = Corruption("translate", -0.1)(found, None)
    assert np.array_equal(back[:-2, :-3], pixels[:-2, :-3])


@pytest.mark.parametrize(
    ("kind", "strength"), [("rotate", 30.0), ("rotate", -7.5), ("scale", 1.41), ("scale", 0.73)]
)
def test_movements_against_scipy(kind, strength) -> None:
    """scipy reads the inverse matrix about the same centre, with the same mirrored border."""
    pixels, mask = noise(24, 32), blob(24, 32)
    angle = np.radians(strength if kind == "rotate" else 0)
    factor = 1 if kind == "rotate" else strength
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / factor
    centre = (np.array(mask.shape) - 1) / 2
    offset = centre - matrix @ centre
    found, moved = Corruption(kind, strength)(pixels, mask)
    for channel in range(3):
        expected = ndimage.affine_transform(
            pixels[..., channel].astype(float), matrix, offset, order=1, mode="reflect"
        )
        assert np.abs(found[..., channel] - expected).max() <= 0.5 + 1e-6
    near = ndimage.affine_transform(mask.astype(float), matrix, offset, order=0, mode="reflect") > 0.5
    places = np.stack(np.indices(mask.shape), axis=-1) @ matrix.T + offset
    tie = (np.abs(places % 1 - 0.5) < 1e-6).any(-1)  # between two pixels: it may go either way
    assert tie.mean() < 0.1
    assert np.array_equal(moved[~tie], near[~tie])


def test_pixel_values_against_references() -> None:
    pixels = noise(30, 20)
    wide = pixels.astype(np.float64)

    def changed(kind: str, strength: float, seed: int = 0) -> np.ndarray:
        return Corruption(kind, strength)(pixels, None, seed)[0]

    def expected(values: np.ndarray) -> np.ndarray:
        return np.clip(np.round(values), 0, 255)

    assert np.array_equal(changed("brightness", -0.2), expected(wide - 51))
    assert np.array_equal(changed("contrast", 0.5), expected((wide + wide.mean()) / 2))
    blurred = np.stack([ndimage.gaussian_filter(wide[..., c], 1.5) for c in range(3)], axis=-1)
    assert np.array_equal(changed("blur", 1.5), expected(blurred))
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="JPEG", quality=30)
    assert np.array_equal(changed("jpeg", 30), np.asarray(Image.open(stream)))


def test_noise_follows_from_image_strength_and_seed() -> None:
    pixels = np.full((200, 200, 3), 128, np.uint8)
    found = Corruption("gaussian-noise", 0.05)(pixels, None, 0)[0]
    assert abs((found - 128.0).std() - 0.05 * 255) < 0.1 and abs(found.mean() - 128) < 0.1
    assert not np.array_equal(found, Corruption("gaussian-noise", 0.05)(pixels, None, 1)[0])
    other = pixels.copy()
    other[0, 0, 0] += 1
    differing = Corruption("gaussian-noise", 0.05)(other, None, 0)[0] != found
    assert differing.mean() > 0.5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "brightnes:0.3",
            r"unknown corruption 'brightnes' \(known: .*none\); did you mean 'brightness'",
        ),
        ("non", "did you mean 'none'"),
        ("", "unknown corruption ''"),
        ("brightness", "'brightness' has no number behind its kind: write brightness:STRENGTH, the share"),
        ("brightness:", "has no number"),
        ("brightness:bright", "has no number"),
        ("brightness:2", "from -1 to 1, but not 0, which changes nothing"),
        ("brightness:nan", "from -1 to 1"),
        ("contrast:1", "from 0 to 4, but not 1, which changes nothing"),
        ("jpeg:10.5", "a whole number from 1 to 95"),
        ("rotate:0", "but not 0"),
        ("scale:inf", "from 0.5 to 2"),
    ],
)
def test_what_does_not_exist_is_refused(text, said) -> None:
    with pytest.raises(InputError, match=said):
        parse_corruption(text)


def test_the_images_as_they_are_and_the_words_of_help() -> None:
    assert parse_corruption("none") is None
    assert parse_corruption("brightness:.30") == Corruption("brightness", 0.3)
    assert all(f"{name} (" in corruption_words() for name in KINDS)
