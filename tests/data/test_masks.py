"""Masks: what is marked in which kind of file, sizes, resizing."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from tests.data.resampling import as_published
from zsad.data.dataset import DatasetImage
from zsad.data.masks import MASK_RULE, faint_words, mask_of, read_levels, read_mask, resize_mask
from zsad.errors import InputError

MASK = np.zeros((5, 7), bool)
MASK[1:3, 2:6] = True
GREY = MASK.astype(np.uint8) * 255


def palette(colours):
    image = Image.fromarray(MASK.astype(np.uint8)).convert("P")
    image.putpalette([channel for colour in colours for channel in colour])
    return image


def rgba(colour, alpha, background=(0, 0, 0)):
    values = np.zeros((*MASK.shape, 4), np.uint8)
    values[..., :3] = np.where(MASK[..., None], colour, background)
    values[..., 3] = alpha
    return Image.fromarray(values)


KINDS = {
    "grey": Image.fromarray(GREY),
    "one bit": Image.fromarray(GREY).convert("1"),
    "class number 1": Image.fromarray(MASK.astype(np.uint8)),
    "class number 127": Image.fromarray(MASK.astype(np.uint8) * 127),
    "smoothed": Image.fromarray(np.where(MASK, 200, 100).astype(np.uint8)),
    "RGB": Image.fromarray(np.repeat(GREY[..., None], 3, axis=2)),
    "blue": Image.fromarray(np.where(MASK[..., None], (0, 0, 255), (0, 0, 0)).astype(np.uint8)),
    "dark red": Image.fromarray(np.where(MASK[..., None], (100, 0, 0), (0, 0, 0)).astype(np.uint8)),
    "palette of class colours": palette([(0, 0, 0), (128, 0, 0)]),
    "palette of numbers": palette([(0, 0, 0), (1, 1, 1)]),
    "palette with white second": palette([(0, 0, 0), (255, 255, 255)]),
    "opaque": rgba((255, 255, 255), 255),
    "transparent white background": rgba((255, 0, 0), np.where(MASK, 255, 0), (255, 255, 255)),
    "grey with alpha": Image.fromarray(GREY).convert("LA"),
    "16 bit": Image.fromarray(MASK.astype(np.uint16) * 65535),
    "16 bit numbers": Image.fromarray(MASK.astype(np.uint16) * 300),
    "16 bit of 8-bit values": Image.fromarray(MASK.astype(np.uint16) * 255),
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_files(tmp_path, kind) -> None:
    KINDS[kind].save(tmp_path / "m.png")
    mask = read_mask(tmp_path / "m.png", (5, 7))
    assert mask.dtype == np.bool_
    np.testing.assert_array_equal(mask, MASK)


def test_reversed_palette(tmp_path) -> None:
    palette([(255, 255, 255), (0, 0, 0)]).save(tmp_path / "m.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png"), ~MASK)


@pytest.mark.parametrize(
    ("suffix", "mode"), [("bmp", "L"), ("tif", "L"), ("gif", "L"), ("bmp", "1"), ("tif", "CMYK")]
)
def test_other_formats(tmp_path, suffix, mode) -> None:
    image = Image.fromarray(GREY).convert("RGB" if mode == "CMYK" else mode).convert(mode)
    image.save(tmp_path / f"m.{suffix}")
    np.testing.assert_array_equal(read_mask(tmp_path / f"m.{suffix}"), MASK)


@pytest.mark.parametrize("quality", [30, 75, 95])
def test_jpeg(tmp_path, quality) -> None:
    mask = np.zeros((64, 64), bool)
    mask[8:40, 16:56] = True
    Image.fromarray(mask.astype(np.uint8) * 255).save(tmp_path / "m.jpg", quality=quality)
    np.testing.assert_array_equal(read_mask(tmp_path / "m.jpg"), mask)
    Image.fromarray(np.full((16, 16), 9, np.uint8)).save(tmp_path / "noise.jpg", quality=quality)
    assert not read_mask(tmp_path / "noise.jpg").any()


def test_turned_jpeg(tmp_path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((8, 16), np.uint8)).save(tmp_path / "m.jpg", exif=exif)
    assert read_mask(tmp_path / "m.jpg").shape == (16, 8)


@given(arrays(np.uint8, (4, 5)))
def test_grey_rule(tmp_path_factory, values) -> None:
    path = tmp_path_factory.mktemp("m") / "m.png"
    Image.fromarray(values).save(path)
    expected = values > 127 if values.max() > 127 else values > 0
    np.testing.assert_array_equal(read_mask(path), expected)


@given(arrays(np.uint8, (4, 5)))
def test_what_everything_above_zero_would_mark(tmp_path_factory, values) -> None:
    path = tmp_path_factory.mktemp("m") / "m.png"
    Image.fromarray(values).save(path)
    levels = read_levels(path)
    assert levels.mask.sum() + levels.faint == (values > 0).sum()
    assert levels.numbers == (0 < values.max() <= 127)
    np.testing.assert_array_equal(levels.mask, read_mask(path))


def test_levels_of_a_mask(tmp_path) -> None:
    values = np.zeros((6, 6), np.uint8)
    values[:2], values[2:5] = 255, 100
    Image.fromarray(values).save(tmp_path / "m.png")
    levels = read_levels(tmp_path / "m.png")
    assert (levels.mask.sum(), levels.faint, levels.numbers) == (12, 18, False)
    assert "12 pixels are marked, and 30 would be if everything above 0 was" in faint_words(1, 12, 18)
    for one in (1, 255):
        Image.fromarray(np.minimum(values, 1) * np.uint8(one)).save(tmp_path / "n.png")
        levels = read_levels(tmp_path / "n.png")
        assert (levels.mask.sum(), levels.faint, levels.numbers) == (30, 0, one == 1)
    Image.fromarray(np.zeros((6, 6), np.uint8)).save(tmp_path / "n.png")
    levels = read_levels(tmp_path / "n.png")
    assert (levels.mask.sum(), levels.faint, levels.numbers) == (0, 0, False)


def test_a_pipe_is_no_mask(tmp_path) -> None:
    os.mkfifo(tmp_path / "m.png")
    with pytest.raises(InputError, match=r"cannot read mask '.*m\.png': it is not a regular file"):
        read_mask(tmp_path / "m.png")


def test_size_mismatch(tmp_path) -> None:
    Image.fromarray(GREY).save(tmp_path / "m.png")
    with pytest.raises(InputError, match=r"m\.png' has 7 x 5 pixels, but its image 'i\.png' has 5 x 7"):
        read_mask(tmp_path / "m.png", (7, 5), "i.png")
    with pytest.raises(InputError, match="but its image has 5 x 7"):
        read_mask(tmp_path / "m.png", (7, 5))


def test_unreadable(tmp_path) -> None:
    path = tmp_path / "m.png"
    with pytest.raises(InputError, match=r"cannot read mask .*No such file"):
        read_mask(path)
    path.touch()
    with pytest.raises(InputError, match="not a PNG"):
        read_mask(path)
    Image.fromarray(GREY).save(path)
    path.write_bytes(path.read_bytes()[:45])
    with pytest.raises(InputError, match="damaged or truncated"):
        read_mask(path)
    Image.fromarray(MASK.astype(np.float32)).save(tmp_path / "m.tif")
    with pytest.raises(InputError, match="float values"):
        read_mask(tmp_path / "m.tif")
    with pytest.raises(InputError, match="Is a directory"):
        read_mask(tmp_path)


def test_mask_of(tmp_path) -> None:
    Image.fromarray(GREY).save(tmp_path / "m.png")
    normal = DatasetImage(tmp_path / "i.png", None, False, "nut", "nut")
    empty = mask_of(normal, (5, 7))
    assert empty is not None and empty.shape == (5, 7) and not empty.any()
    assert mask_of(DatasetImage(tmp_path / "i.png", None, True, "nut", "nut"), (5, 7)) is None
    marked = mask_of(DatasetImage(tmp_path / "i.png", tmp_path / "m.png", True, "nut", "nut"), (5, 7))
    np.testing.assert_array_equal(marked, MASK)


@given(arrays(np.bool_, st.tuples(st.integers(1, 20), st.integers(1, 20))), st.integers(1, 24))
def test_resized_like_torchvision(mask, side) -> None:
    from torchvision.transforms import InterpolationMode, Resize
    from torchvision.transforms.functional import to_tensor

    whole = Image.fromarray(mask.astype(np.uint8) * 255)
    picture = as_published(whole, side, Image.Resampling.BILINEAR)
    published = to_tensor(Resize((side, side), InterpolationMode.BILINEAR)(picture))[0].numpy() > 0.5
    np.testing.assert_array_equal(resize_mask(mask, side, side), published)
    nearest = Resize((side, side), InterpolationMode.NEAREST)(whole)
    np.testing.assert_array_equal(resize_mask(mask, side, side, "nearest"), np.asarray(nearest) > 127)


def test_thin_defects() -> None:
    mask = np.zeros((100, 100), bool)
    mask[:, 52] = True
    assert MASK_RULE == "bilinear>0.5" and not resize_mask(mask, 20, 20).any()
    assert resize_mask(mask, 20, 20, "nearest").any()


def test_wrong_resizing() -> None:
    with pytest.raises(InputError, match="unknown mask rule 'area'"):
        resize_mask(MASK, 8, 8, "area")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="must be 1 or more"):
        resize_mask(MASK, 8, 0)
