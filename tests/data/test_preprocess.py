"""Preprocessing against torchvision and against numbers written down here."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision import transforms

from tests.data.resampling import as_published
from zsad.data.preprocess import crop_margin, to_tensor, whole_image
from zsad.errors import InputError

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def reference(image, size):
    return transforms.Compose(
        [
            transforms.Resize((size, size), interpolation=transforms.InterpolationMode.BICUBIC),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )(as_published(Image.fromarray(image), size, Image.Resampling.BICUBIC))


@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 64), st.integers(0, 5))
def test_bytes_equal_torchvisions(height, width, size, seed):
    image = noise(height, width, seed)
    result = to_tensor(image, size, MEAN, STD)
    assert result.shape == (3, size, size)
    assert result.dtype == torch.float32
    assert result.is_contiguous()
    assert result.numpy().tobytes() == reference(image, size).numpy().tobytes()


@pytest.mark.parametrize("size", [168, 224, 336, 518])
def test_bytes_equal_torchvisions_at_real_sizes(size):
    image = noise(400, 640)
    assert torch.equal(to_tensor(image, size, MEAN, STD), reference(image, size))


def test_arithmetic_is_divide_subtract_divide_in_float32():
    values = np.arange(256, dtype=np.uint8)
    image = np.repeat(values.reshape(16, 16, 1), 3, axis=2)
    expected = np.stack(
        [
            (image[..., c].astype(np.float32) / np.float32(255) - np.float32(MEAN[c])) / np.float32(STD[c])
            for c in range(3)
        ]
    )
    result = to_tensor(image, 16, MEAN, STD).numpy()
    assert result.tobytes() == expected.tobytes()
    assert result[:, 0, 0] == pytest.approx([-1.7922626, -1.7520971, -1.4802198], abs=1e-6)
    assert result[:, -1, -1] == pytest.approx([1.9303361, 2.0748838, 2.1458969], abs=1e-6)


def test_hash_of_a_drawn_image():
    """The resize itself is held by a hash: in one order, Pillow's fixed-point bicubic has no versions."""
    rows, columns = np.mgrid[0:60, 0:100]
    image = np.dstack([rows * 4, columns * 2, (rows * columns) % 256]).astype(np.uint8)
    digest = hashlib.sha256(to_tensor(image, 28, MEAN, STD).numpy().tobytes()).hexdigest()
    assert digest == "5cf64ac8c592ae86a916f6d92cf69df57c61ec2dc65e8fe68011716b9e9d8d8e"


def test_the_image_is_left_as_it_was():
    image = noise(28, 28)
    before = image.copy()
    to_tensor(image, 28, MEAN, STD)
    np.testing.assert_array_equal(image, before)


def test_read_only_and_strided_images():
    image = noise(40, 50)
    expected = to_tensor(image[::2, ::-1].copy(), 14, MEAN, STD)
    view = image[::2, ::-1]
    view.flags.writeable = False
    assert torch.equal(to_tensor(view, 14, MEAN, STD), expected)


def test_an_unknown_rule_or_order_is_refused():
    with pytest.raises(
        InputError,
        match=r"unknown resize rule 'squish' \(known: squash, centre-crop\); did you mean 'squash'",
    ):
        to_tensor(noise(8, 8), 8, MEAN, STD, rule="squish")
    with pytest.raises(
        InputError, match=r"unknown resize order 'vertical-first' \(known: horizontal-first\)"
    ):
        to_tensor(noise(8, 8), 8, MEAN, STD, order="vertical-first")


@pytest.mark.parametrize(
    "image",
    [
        noise(8, 8).astype(np.float32),
        noise(8, 8)[..., 0],
        noise(8, 8)[..., :2],
        np.zeros((0, 8, 3), np.uint8),
    ],
)
def test_what_is_no_rgb_image_is_refused(image):
    with pytest.raises(InputError, match=r"must be uint8 \[H, W, 3\]"):
        to_tensor(image, 8, MEAN, STD)


def test_bad_numbers_are_refused():
    with pytest.raises(InputError, match="at least 1, not 0"):
        to_tensor(noise(8, 8), 0, MEAN, STD)
    for mean, std in ((MEAN[:2], STD), (MEAN, (0.5, 0.0, 0.5)), (MEAN, (0.5,))):
        with pytest.raises(InputError, match="mean and std"):
            to_tensor(noise(8, 8), 8, mean, std)


@pytest.mark.parametrize("size", [56, 84, 168])
def test_centre_crop_equals_torchvisions(size):
    image = noise(90, 130)
    side, _ = crop_margin(size)
    steps = transforms.Compose(
        [
            transforms.Resize((side, side)),
            transforms.ToTensor(),
            transforms.CenterCrop(size),
            transforms.Normalize(MEAN, STD),
        ]
    )
    expected = steps(as_published(Image.fromarray(image), side, Image.Resampling.BILINEAR))
    assert torch.equal(to_tensor(image, size, MEAN, STD, "centre-crop"), expected)


@pytest.mark.parametrize("size", [56, 60, 392])
def test_a_map_of_the_crop_lies_where_the_crop_lay(size):
    """A map of places in the image keeps them, and repeats its border where nothing was seen."""
    side, margin = crop_margin(size)
    places = (torch.arange(size) + 0.5 + margin) / side  # of the crop's pixels, as shares of the image
    maps = torch.stack([places.expand(size, size), places[:, None].expand(size, size)])
    own = (torch.arange(size) + 0.5) / size
    expected = own.clamp(float(places[0]), float(places[-1]))
    found = whole_image(maps, "centre-crop")
    torch.testing.assert_close(found[0], expected.expand(size, size), atol=1e-5, rtol=0)
    torch.testing.assert_close(found[1], expected[:, None].expand(size, size), atol=1e-5, rtol=0)
    assert whole_image(maps, "squash") is maps
