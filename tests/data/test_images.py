"""Reading and finding images."""

from __future__ import annotations

import os
import struct
import threading
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, TiffImagePlugin

from zsad.data.images import MAX_PIXELS, read_image
from zsad.errors import InputError

LOSSLESS = {"PNG": ".png", "BMP": ".bmp", "TIFF": ".tif"}


def noise(height, width, channels=3, seed=0):
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_bytes(width, height, bit_depth, colour_type, scanlines):
    header = struct.pack(">IIBBBBB", width, height, bit_depth, colour_type, 0, 0, 0)
    body = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(scanlines)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def gray_tiff(values, bits, photometric=1, sample_format=1):
    """A minimal uncompressed little-endian TIFF of one channel."""
    height, width = values.shape
    data = values.tobytes()
    entries = [
        (256, width),
        (257, height),
        (258, bits),
        (259, 1),
        (262, photometric),
        (273, 8 + 2 + 10 * 12 + 4),
    ]
    entries += [(277, 1), (278, height), (279, len(data)), (339, sample_format)]
    table = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    return b"II*\x00" + struct.pack("<IH", 8, len(entries)) + table + struct.pack("<I", 0) + data


def check(array, expected):
    assert array.dtype == np.uint8
    assert array.flags.c_contiguous
    assert array.flags.writeable
    np.testing.assert_array_equal(array, expected)


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from(sorted(LOSSLESS)),
    st.sampled_from([1, 3]),
    st.integers(0, 9),
)
def test_lossless_formats_round_trip(tmp_path_factory, height, width, fmt, channels, seed):
    pixels = noise(height, width, channels, seed)
    path = tmp_path_factory.mktemp("rt") / f"x{LOSSLESS[fmt]}"
    Image.fromarray(pixels).save(path, format=fmt)
    check(read_image(path), pixels if channels == 3 else np.repeat(pixels[..., None], 3, axis=2))


@given(st.sampled_from(["1", "L", "P", "RGB", "CMYK"]), st.integers(1, 9), st.integers(1, 9))
def test_modes_equal_pillows_conversion(tmp_path_factory, mode, height, width):
    image = Image.fromarray(noise(height, width)).convert(mode)
    path = tmp_path_factory.mktemp("modes") / "x.tif"
    image.save(path)
    with Image.open(path) as stored:
        assert stored.mode == mode
    check(read_image(path), np.asarray(image.convert("RGB")))


def test_lossy_formats_are_near(tmp_path):
    ramp = np.dstack([np.tile(np.arange(64, dtype=np.uint8) * 3, (48, 1))] * 3)
    for suffix, options in (
        (".jpg", {"quality": 95}),
        (".JPEG", {"quality": 95}),
        (".webp", {"lossless": True}),
    ):
        path = tmp_path / f"x{suffix}"
        Image.fromarray(ramp).save(path, **options)
        assert np.abs(read_image(path).astype(int) - ramp).max() <= 3
    Image.fromarray(ramp).convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    assert np.abs(read_image(tmp_path / "cmyk.jpg").astype(int) - ramp).max() <= 4


def test_the_content_decides_not_the_suffix(tmp_path):
    pixels = noise(5, 7)
    Image.fromarray(pixels).save(tmp_path / "x.jpg", format="PNG")
    check(read_image(str(tmp_path / "x.jpg")), pixels)


def test_transparency_is_put_on_white(tmp_path):
    colours = noise(4, 4, 4)
    colours[..., 3] = 255
    colours[0, :, 3] = 0
    colours[1, :, 3] = 128
    Image.fromarray(colours).save(tmp_path / "rgba.png")
    result = read_image(tmp_path / "rgba.png")
    assert (result[0] == 255).all()
    half = colours[1, :, :3].astype(float) * 128 / 255 + 255 * 127 / 255
    assert np.abs(result[1] - half).max() <= 1
    np.testing.assert_array_equal(result[2:], colours[2:, :, :3])

    grey = np.dstack([noise(4, 4, 1), colours[..., 3]])
    Image.fromarray(grey).save(tmp_path / "la.png")
    result = read_image(tmp_path / "la.png")
    assert (result[0] == 255).all()
    np.testing.assert_array_equal(result[2:], np.repeat(grey[2:, :, :1], 3, axis=2))


def test_opaque_alpha_changes_nothing(tmp_path):
    pixels = noise(6, 5)
    Image.fromarray(pixels).convert("RGBA").save(tmp_path / "x.png")
    check(read_image(tmp_path / "x.png"), pixels)


def test_palette_transparency_is_put_on_white(tmp_path):
    image = Image.new("P", (3, 1))
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image.putdata([0, 1, 2])
    for name in ("x.png", "x.gif"):
        image.save(tmp_path / name, transparency=1)
        check(read_image(tmp_path / name), [[[10, 20, 30], [255, 255, 255], [70, 80, 90]]])


SIXTEEN = np.array([[0, 128, 129, 257], [32768, 65278, 65406, 65535]], dtype=np.uint16)
EIGHT = np.array([[0, 0, 1, 1], [128, 254, 254, 255]])


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_grey_is_divided_by_257(tmp_path, suffix):
    Image.fromarray(SIXTEEN).save(tmp_path / f"x{suffix}")
    check(read_image(tmp_path / f"x{suffix}"), np.repeat(EIGHT[..., None], 3, axis=2))


def test_big_endian_sixteen_bit_grey(tmp_path):
    image = Image.frombytes("I;16B", (4, 2), SIXTEEN.astype(">u2").tobytes())
    image.save(tmp_path / "x.tif")
    with Image.open(tmp_path / "x.tif") as stored:
        assert stored.mode == "I;16B"
    check(read_image(tmp_path / "x.tif"), np.repeat(EIGHT[..., None], 3, axis=2))


@given(st.integers(0, 255))
def test_eight_bit_values_stored_as_sixteen_bit_come_back(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("wide") / "x.png"
    Image.fromarray(np.full((1, 1), value * 257, dtype=np.uint16)).save(path)
    check(read_image(path), [[[value] * 3]])


def test_sixteen_bit_grey_tiff_with_white_as_zero_is_inverted(tmp_path):
    (tmp_path / "x.tif").write_bytes(gray_tiff(SIXTEEN, 16, photometric=0))
    check(read_image(tmp_path / "x.tif"), np.repeat(255 - EIGHT[..., None], 3, axis=2))


def test_twelve_bit_tiff_uses_its_own_white(tmp_path):
    packed = np.array([[0xFF, 0xF0, 0x00]], dtype=np.uint8)  # two pixels: 4095 and 0
    data = gray_tiff(packed, 12)
    data = data.replace(struct.pack("<HHII", 256, 4, 1, 3), struct.pack("<HHII", 256, 4, 1, 2))
    (tmp_path / "x.tif").write_bytes(data)
    check(read_image(tmp_path / "x.tif"), [[[255] * 3, [0] * 3]])


def test_sixteen_bit_colour_keeps_the_high_byte(tmp_path):
    values = np.array([[[65535, 256, 255], [32768, 0, 4660]]], dtype=">u2")
    (tmp_path / "x.png").write_bytes(png_bytes(2, 1, 16, 2, b"\x00" + values.tobytes()))
    check(read_image(tmp_path / "x.png"), [[[255, 1, 0], [128, 0, 18]]])


@pytest.mark.parametrize(
    ("values", "bits", "sample_format"),
    [(np.ones((2, 2), "<f4"), 32, 3), (np.ones((2, 2), "<i4"), 32, 2), (np.ones((2, 2), "<i2"), 16, 2)],
)
def test_values_without_a_fixed_white_are_refused(tmp_path, values, bits, sample_format):
    path = tmp_path / "depth.tif"
    path.write_bytes(gray_tiff(values, bits, sample_format=sample_format))
    with pytest.raises(
        InputError, match=r"depth\.tif.*(float|32-bit or signed) values; save it with 8 or 16 bit"
    ):
        read_image(path)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_exif_orientation_is_applied(tmp_path, orientation, suffix):
    scene = noise(3, 5)
    # How a camera held in this way stores the scene: the inverse of what a viewer has to do.
    stored = {
        1: scene,
        2: scene[:, ::-1],
        3: scene[::-1, ::-1],
        4: scene[::-1],
        5: scene.transpose(1, 0, 2),
        6: np.rot90(scene, 1),
        7: np.rot90(scene, 2).transpose(1, 0, 2),
        8: np.rot90(scene, -1),
    }[orientation]
    image = Image.fromarray(np.ascontiguousarray(stored))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True, "exact": True} if suffix == ".webp" else {}
    if suffix == ".tif":
        tags = TiffImagePlugin.ImageFileDirectory_v2()
        tags[0x0112] = orientation
        image.save(tmp_path / "x.tif", tiffinfo=tags)
    else:
        image.save(tmp_path / f"x{suffix}", exif=exif, **options)
    check(read_image(tmp_path / f"x{suffix}"), scene)


def test_orientation_of_a_sixteen_bit_image(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(SIXTEEN).save(tmp_path / "x.png", exif=exif)
    check(read_image(tmp_path / "x.png"), np.repeat(EIGHT[::-1, ::-1, None], 3, axis=2))


@pytest.mark.parametrize("exif", [b"Exif\x00\x00no TIFF header", b"Exif\x00\x00MM\x00*\xff\xff\xff\xff"])
def test_broken_exif_does_not_matter(tmp_path, exif):
    pixels = noise(4, 6)
    Image.fromarray(pixels).save(tmp_path / "x.png", exif=exif)
    check(read_image(tmp_path / "x.png"), pixels)


@pytest.mark.parametrize("suffix", [".gif", ".tif", ".webp", ".png"])
def test_the_first_frame_is_read(tmp_path, suffix):
    frames = [Image.new("RGB", (8, 6), colour) for colour in ((200, 0, 0), (0, 200, 0), (0, 0, 200))]
    options = {"lossless": True} if suffix == ".webp" else {}
    frames[0].save(tmp_path / f"x{suffix}", save_all=True, append_images=frames[1:], **options)
    with Image.open(tmp_path / f"x{suffix}") as stored:
        assert stored.n_frames == 3
    check(read_image(tmp_path / f"x{suffix}"), np.full((6, 8, 3), (200, 0, 0)))


def refused(path, reason):
    with pytest.raises(InputError) as caught:
        read_image(path)
    message = str(caught.value)
    assert str(path) in message
    assert reason in message
    assert "\n" not in message


def test_what_is_no_image_file_is_refused(tmp_path):
    refused(tmp_path / "absent.png", "No such file")
    refused(tmp_path, "it is a folder")
    (tmp_path / "empty.png").touch()
    refused(tmp_path / "empty.png", "the file is empty")
    (tmp_path / "text.png").write_text("this is text\n" * 50)
    refused(tmp_path / "text.png", "not a PNG, JPEG")
    os.mkfifo(tmp_path / "pipe.png")
    refused(tmp_path / "pipe.png", "not a regular file")
    with pytest.raises(InputError, match="null"):
        read_image("nul\0byte.png")
    with pytest.raises(InputError, match="too long"):
        read_image(tmp_path / ("x" * 300 + ".png"))


def test_a_format_outside_the_list_is_refused(tmp_path):
    (tmp_path / "x.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")
    refused(tmp_path / "x.png", "not a PNG, JPEG")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif", ".webp", ".gif"])
def test_truncated_files_are_refused(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    Image.fromarray(noise(64, 64)).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"cannot read '.*x\."):
        read_image(path)


@given(st.sampled_from([".png", ".jpg", ".bmp", ".tif", ".webp", ".gif"]), st.data())
def test_damage_gives_an_image_or_an_input_error(tmp_path_factory, suffix, data):
    path = tmp_path_factory.mktemp("fuzz") / f"x{suffix}"
    Image.fromarray(noise(16, 16)).save(path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, min(len(content), 200) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        assert read_image(path).shape[2] == 3
    except InputError as error:
        assert str(path) in str(error)


def test_an_unreadable_file_is_refused(public_path, unprivileged):
    path = public_path / "secret.png"
    Image.fromarray(noise(4, 4)).save(path)
    read_image(path)  # Pillow loads its plugins on first use, which needs the privileges
    path.chmod(0)
    with unprivileged():
        refused(path, "Permission denied")


@pytest.mark.parametrize(
    "side", [14_143, 30_000]
)  # just above the limit; above Pillow's own at twice the limit
def test_a_decompression_bomb_is_refused_before_decoding(tmp_path, side):
    assert side * side > MAX_PIXELS
    path = tmp_path / "bomb.png"
    path.write_bytes(png_bytes(side, side, 8, 2, b"no pixel data: decoding would be refused as damaged"))
    refused(path, "more than 200 megapixels")


def test_below_the_limit_nothing_is_refused_for_its_size(tmp_path, recwarn, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 12_345)  # a limit that the surrounding program has set
    path = tmp_path / "large.png"
    path.write_bytes(png_bytes(20_000, 9_500, 8, 2, b"190 megapixels, but the data are missing"))
    refused(path, "damaged or truncated")
    assert not [
        warning for warning in recwarn if issubclass(warning.category, Image.DecompressionBombWarning)
    ]
    assert Image.MAX_IMAGE_PIXELS == 12_345


def test_a_real_large_image_is_read(tmp_path):
    path = tmp_path / "large.png"
    Image.new("1", (10_000, 9_500), 1).save(path)  # above the 89 megapixels at which Pillow would warn
    assert read_image(path).shape == (9_500, 10_000, 3)


def test_reading_in_threads(tmp_path):
    pixels = [noise(50, 60, seed=seed) for seed in range(8)]
    for index, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / f"{index}.png")
    limit, results = Image.MAX_IMAGE_PIXELS, {}

    def read(index):
        results[index] = [read_image(tmp_path / f"{index}.png") for _ in range(20)]

    threads = [threading.Thread(target=read, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, image in enumerate(pixels):
        assert len(results[index]) == 20
        assert all((result == image).all() for result in results[index])
    assert limit == Image.MAX_IMAGE_PIXELS
