"""Images that visitors should not send, and those that look odd but are sound."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from zsad.errors import InputError
from zsad_demo.engine import Engine
from zsad_demo.tabs.inspect import InspectTab
from zsad_demo.uploads import Upload


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def noise(mode: str, size: tuple[int, int] = (60, 40)) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and has hardly any pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


SOUND = {
    "cmyk.jpg": encoded(noise("CMYK"), "JPEG"),
    "animated.gif": encoded(noise("P"), "GIF", save_all=True, append_images=[noise("P")] * 3),
    "grey16.png": encoded(Image.fromarray(np.arange(2400, dtype=np.uint16).reshape(40, 60) * 27), "PNG"),
    "grey16.tif": encoded(Image.fromarray(np.arange(2400, dtype=np.uint16).reshape(40, 60) * 27), "TIFF"),
    "alpha.webp": encoded(noise("RGBA"), "WEBP"),
    "one-pixel.png": encoded(noise("RGB", (1, 1)), "PNG"),
    "line.png": encoded(noise("RGB", (900, 1)), "PNG"),
    "no suffix": encoded(noise("RGB"), "PNG"),
    "..%2F..%2Fname.png": encoded(noise("RGB"), "PNG"),
}
UNSOUND = {
    "text.png": b"just text",
    "empty.png": b"",
    "cut.png": encoded(noise("RGB"), "PNG")[:400],
    "cut.jpg": encoded(noise("RGB"), "JPEG")[:300],
    "float.tif": encoded(Image.fromarray(np.zeros((4, 4), np.float32)), "TIFF"),
    "vector.svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    "vector.png": b'<svg xmlns="http://www.w3.org/2000/svg"></svg>',
    "bomb.png": png_header(60_000, 60_000),
    "claims100mp.png": png_header(10_000, 10_000),
    "claims150mp.png": png_header(10_000, 15_000),
    "zip.png": b"PK\x03\x04" + bytes(100),
}


@pytest.fixture
def inspect(engine: Engine, payload: Callable[[Path], dict[str, Any]]) -> Callable[[Path], dict[str, Any]]:
    tab = InspectTab(engine, [])
    return lambda path: tab.inspect(payload(path), "", "clip-baseline", "", "", None)[4]


@pytest.mark.parametrize("name", SOUND)
def test_sound_images_are_judged(
    inspect: Callable[[Path], dict[str, Any]], tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_bytes(SOUND[name])
    assert np.isfinite(inspect(tmp_path / name)["score"])


@pytest.mark.parametrize("name", UNSOUND)
def test_unsound_images_are_one_sentence_with_the_visitors_name(
    inspect: Callable[[Path], dict[str, Any]], tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_bytes(UNSOUND[name])
    with pytest.raises(gr.Error) as error:
        inspect(tmp_path / name)
    assert error.value.message.startswith(f"cannot read '{name}'")
    assert str(tmp_path) not in error.value.message


def test_random_damage_never_does_more_than_a_sentence(
    inspect: Callable[[Path], dict[str, Any]], tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    for form in ("PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"):
        whole = encoded(noise("RGB", (20, 16)), form)
        for _ in range(12):
            data = bytearray(whole)
            for place in rng.integers(0, len(data), 4):
                data[place] = rng.integers(256)
            (tmp_path / "x").write_bytes(data)
            try:
                inspect(tmp_path / "x")
            except gr.Error as error:
                assert "'x'" in error.message


@pytest.mark.acceptance
def test_a_photograph_of_100_megapixels_is_judged(
    inspect: Callable[[Path], dict[str, Any]], tmp_path: Path
) -> None:
    Image.new("RGB", (10_000, 10_000), (120, 90, 60)).save(tmp_path / "large.png", compress_level=1)
    facts = inspect(tmp_path / "large.png")
    assert (facts["image_height"], facts["image_width"]) == (10_000, 10_000)


def test_images_that_would_take_gigabytes_are_refused_by_their_header(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(png_header(10_001, 10_000))
    with pytest.raises(InputError, match=r"^cannot read 'part\.png': it has more than 100 megapixels$"):
        Upload(tmp_path / "x", "part.png").read()


@pytest.mark.parametrize(
    ("given", "shown"),
    [("a\x00\ud800\n.png", "a\ufffd\ufffd\ufffd.png"), ("../../b.png", "b.png"), (["x"], "kept.png"),
     ("", "kept.png"), ("y" * 100_000 + ".zip", "y" * 99 + "…" + "y" * 96 + ".zip")],
)  # fmt: skip
def test_names_are_one_short_line(given: object, shown: str) -> None:
    assert Upload.of({"path": "/folder/kept.png", "orig_name": given}).name == shown


@pytest.mark.parametrize("payload", ["x", 3, ["x"], [{"path": "x"}]])
def test_what_is_no_file_is_refused(payload: object) -> None:
    with pytest.raises(InputError, match="an uploaded file has to be given"):
        Upload.of(payload)
