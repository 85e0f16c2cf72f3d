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
from zsad.data.preprocess import (
    crop_margin,
    equal_sizes,
    input_tensor,
    size_of,
    to_tensor,
    whole_image,
)
from zsad.errors import InputError
from zsad.inputs import InputForm, cut_of, resized_size
from zsad.values import Sample

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


@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 64), st.integers(0, 5))
def test_bytes_of_the_short_side_equal_torchvisions(height, width, size, seed):
    image = noise(height, width, seed)
    result = to_tensor(image, size, MEAN, STD, "short-side")
    published = transforms.Compose(
        [
            # An int is the short side to torchvision.
            transforms.Resize(size, interpolation=transforms.InterpolationMode.BICUBIC),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    ready = as_published(Image.fromarray(image), result.shape[2], Image.Resampling.BICUBIC)
    if ready.size == (width, height):
        assert result.numpy().tobytes() == published(ready).numpy().tobytes()
    else:  # the long side would be another one by then
        upright = transforms.Compose(
            [
                transforms.Resize(result.shape[1:], transforms.InterpolationMode.BICUBIC),
                *published.transforms[1:],
            ]
        )
        assert result.shape[1:] == published(Image.fromarray(image)).shape[1:]
        assert result.numpy().tobytes() == upright(ready).numpy().tobytes()


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 40), st.integers(1, 32), st.integers(1, 32))
def test_towers_of_other_patches_see_the_same_of_an_image(height, width, patches, patch, other):
    """The short side is a whole number of patches, and the grids of two towers with as many of them agree."""
    grids = []
    for side in (patch, other):
        size = resized_size(height, width, patches * side, "short-side")
        bottom, right = cut_of(size, side, "short-side")
        assert min(size) == patches * side and 0 <= max(bottom, right) < side and min(bottom, right) == 0
        seen = size[0] - bottom, size[1] - right
        assert seen[0] % side == seen[1] % side == 0
        grids.append((seen[0] // side, seen[1] // side))
        assert cut_of(resized_size(height, width, patches * side, "squash"), side, "squash") == (0, 0)
    assert grids[0] == grids[1]


def test_the_published_example():
    size = resized_size(400, 640, 168, "short-side")
    assert size == (168, 268) and cut_of(size, 14, "short-side") == (0, 2)


SHORT = InputForm(28, MEAN, STD, "short-side")


def test_a_batch_is_cut_to_whole_patches():
    samples = [Sample(noise(40, 59, seed)) for seed in (0, 1)]
    whole = [to_tensor(sample.image, *SHORT) for sample in samples]
    assert whole[0].shape == (3, 28, 41)
    assert torch.equal(input_tensor(samples, SHORT, 14), torch.stack(whole)[:, :, :, :28])
    assert torch.equal(input_tensor(samples, SHORT, 4), torch.stack(whole)[:, :, :, :40])
    # Some opaque towers have a size of their own that is no multiple of their patch.
    squashed = SHORT._replace(rule="squash")
    assert input_tensor(samples, squashed, 9).shape == (2, 3, 28, 28)


def test_only_images_of_one_size_share_a_batch():
    shapes = [(40, 59), (59, 40), (80, 118), (40, 60), (59, 40)]
    samples = [Sample(noise(*shape)) for shape in shapes]
    assert equal_sizes(samples, SHORT) == [[0, 2], [1, 4], [3]]
    assert equal_sizes(samples, SHORT._replace(rule="squash")) == [[0, 1, 2, 3, 4]]
    with pytest.raises(
        InputError, match=r"images of 41 x 28 and 28 x 41 pixels cannot share a batch; .*image_resize=squash"
    ):
        input_tensor(samples[:2], SHORT, 14)
    prepared = Sample(np.empty((0, 0, 3), np.uint8), tensors={SHORT: torch.zeros(3, 28, 33)})
    assert size_of(prepared, SHORT) == (28, 33)


def test_what_is_too_long_is_refused_before_it_is_resized():
    image = np.zeros((2, 100_000, 3), np.uint8)
    with pytest.raises(InputError, match=r"100000 x 2 pixels would have over 200 megapixels .*--tile"):
        to_tensor(image, 448, MEAN, STD, "short-side")
    assert to_tensor(image, 448, MEAN, STD).shape == (3, 448, 448)
    with pytest.raises(InputError, match="must be uint8"):
        input_tensor([Sample(np.empty((0, 7, 3), np.uint8))], SHORT, 14)


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
        InputError, match=r"unknown resize rule 'squish' \(known: squash, .*\); did you mean 'squash'"
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
