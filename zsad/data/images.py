"""Read image files as RGB. Torch is not needed here."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from zsad.errors import InputError

MAX_PIXELS = 200_000_000
"""Larger images are refused before they are decoded: they are more often an attack than a photograph."""

_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF")
_EIGHT_BIT_MODES = ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr")
_ORIENTATION_TAG = 0x0112
_BAND = 1 << 20
"""Pixels that are copied at once: few, because what small blocks took stays with the thread that read."""
_BITS_PER_SAMPLE_TAG = 258
_PHOTOMETRIC_TAG = 262
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_pillow_limit = threading.Lock()


def read_image(path: str | os.PathLike[str]) -> npt.NDArray[np.uint8]:
    """Read one image file as RGB, upright as its EXIF orientation asks.

    Transparent pixels are put on white, which is what a viewer shows; the colour stored under them is
    arbitrary. An opaque image with an alpha channel is read as if it had none. Grey images of 16 bit are
    divided by 257 and rounded (65535 becomes 255), colour images of 16 bit keep their high byte. Of several
    pages or animation frames the first is read. The content decides on the format, not the suffix.

    Returns:
        [H, W, 3], contiguous and writable.

    Raises:
        InputError: If the file is missing, no regular file, unreadable, empty, damaged, in an unknown
            format, above ``MAX_PIXELS``, or has float or 32-bit values (which have no fixed white).
    """
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise InputError(f"cannot read '{path}': it is a folder, not an image")
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f"cannot read '{path}': it is not a regular file")
        if status.st_size == 0:
            raise InputError(f"cannot read '{path}': the file is empty")
        with open(path, "rb") as stream:
            with own_pixel_limit():
                image = Image.open(stream, formats=_FORMATS)
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise _too_large(path)
            return _to_rgb(image, path)
    except (InputError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(path) from error
    except UnidentifiedImageError as error:
        raise InputError(f"cannot read '{path}': not a PNG, JPEG, BMP, TIFF, WebP or GIF image") from error
    except Exception as error:
        # Damaged files make Pillow raise nearly anything: SyntaxError, struct.error, EOFError, IndexError.
        if isinstance(error, OSError) and error.errno is not None:
            reason = error.strerror
        else:
            reason = f"the image is damaged or truncated ({error})"
        raise InputError(f"cannot read '{path}': {reason}") from error


@contextmanager
def own_pixel_limit() -> Iterator[None]:
    """Have Pillow apply ``MAX_PIXELS`` to a header, rather than its own limit, which refuses earlier."""
    with _pillow_limit:
        former = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = MAX_PIXELS
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = former


def _too_large(path: str | os.PathLike[str]) -> InputError:
    return InputError(f"cannot read '{path}': it has more than {MAX_PIXELS // 10**6} megapixels")


def _to_rgb(image: Image.Image, path: str | os.PathLike[str]) -> npt.NDArray[np.uint8]:
    """Decode, turn upright and convert to [H, W, 3] uint8."""
    image.load()
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        upright = Image.fromarray(_grey_from_16_bit(image)).convert("RGB")
    elif image.has_transparency_data:
        coloured = image.convert("RGBA")
        white = Image.new("RGBA", coloured.size, (255, 255, 255, 255))
        upright = Image.alpha_composite(white, coloured).convert("RGB")
    elif image.mode in _EIGHT_BIT_MODES:
        # Pillow copies even what is RGB already: a third of the memory that reading takes.
        upright = image if image.mode == "RGB" else image.convert("RGB")
    else:
        what = {"F": "float values", "I": "32-bit or signed values"}.get(image.mode, f"mode {image.mode}")
        raise InputError(f"cannot read '{path}': it has {what}; save it with 8 or 16 bit per channel")
    return _pixels(_turned(upright, image))


def _pixels(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Return the pixels of an RGB image, copied band by band: at once, they would be in memory once more."""
    width, height = image.size
    filled = np.empty((height, width, 3), np.uint8)
    rows = max(1, _BAND // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        filled[top:bottom] = np.asarray(image.crop((0, top, width, bottom)))
    return filled


def _grey_from_16_bit(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Scale the values of a 16-bit grey image (12-bit if its TIFF tags say so) to 0..255."""
    tags = getattr(image, "tag_v2", {})
    white = 4095 if tags.get(_BITS_PER_SAMPLE_TAG) == (12,) else 65535
    values = np.asarray(image).astype(np.uint32).clip(0, white)
    if tags.get(_PHOTOMETRIC_TAG) == 0:  # white is zero; Pillow honours this for 8 bit only
        values = white - values
    return ((values * 255 + white // 2) // white).astype(np.uint8)


def _turned(upright: Image.Image, source: Image.Image) -> Image.Image:
    """Apply the orientation that ``source`` still carries after decoding."""
    try:
        orientation = source.getexif().get(_ORIENTATION_TAG)
    except Exception:
        # Broken metadata beside sound pixels: every viewer shows the pixels as they are.
        return upright
    turn = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return upright if turn is None else upright.transpose(turn)
