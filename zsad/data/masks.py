"""Read ground-truth masks, and bring them to the size at which maps are compared."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from zsad.data.images import MAX_PIXELS, own_pixel_limit
from zsad.data.resize import resize
from zsad.errors import InputError

if TYPE_CHECKING:
    from zsad.data.dataset import DatasetImage

MaskRule = Literal["bilinear>0.5", "nearest"]
"""How a mask comes to another size.

``bilinear>0.5`` is what the published codes do (torchvision's ``Resize`` on the mask, then ``> 0.5``):
bilinear with antialiasing, so a pixel is marked if most of what it covers was. A defect thinner than half an
output pixel disappears. ``nearest`` keeps some of it, with holes; it does not judge areas. Native resolution
avoids both.
"""

MASK_RULE: MaskRule = "bilinear>0.5"
"""The rule where none is asked for."""

_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF")


@dataclass(frozen=True, eq=False)
class MaskLevels:
    """A mask, and what another rule would make of its file.

    Attributes:
        mask: [H, W], True where the image is anomalous.
        faint: Pixels above zero that are not marked; published code often marks those, too.
        numbers: Whether the file holds class numbers, 0 and 1 for example, and so all above zero is marked.
    """

    mask: npt.NDArray[np.bool_]
    faint: int
    numbers: bool


def read_mask(
    path: str | os.PathLike[str],
    shape: tuple[int, int] | None = None,
    image: str | os.PathLike[str] | None = None,
) -> npt.NDArray[np.bool_]:
    """Return the mask of :func:`read_levels`."""
    return read_levels(path, shape, image).mask


def read_levels(
    path: str | os.PathLike[str],
    shape: tuple[int, int] | None = None,
    image: str | os.PathLike[str] | None = None,
) -> MaskLevels:
    """Read one mask file.

    What a pixel's value is: its grey value, the largest channel of its colour (of the palette's colour in
    palette files), times its opacity. What is marked: if the largest value of the file is above half of
    white (255, or 65535 in 16-bit files), everything above half of white, which is right for black and
    white whether sharp, smoothed or JPEG-compressed; else everything but zero, because such values are class
    numbers (VisA). JPEG cannot hold class numbers, so there it is always half of white.

    Args:
        path: PNG, JPEG, BMP, TIFF, WebP or GIF with 1, 8 or 16 bit per channel.
        shape: (H, W) of the image; a mask of another size is refused.
        image: The image's path, named in that refusal.

    Raises:
        InputError: If the file is missing, damaged, no image, of another size or has float values.
    """
    values, white, lossy = _values(path)
    if shape is not None and values.shape != tuple(shape):
        of = f"its image '{image}'" if image is not None else "its image"
        raise InputError(
            f"mask '{path}' has {_size(values.shape)} pixels, but {of} has {_size(shape)}: "
            "a mask has to be as large as its image"
        )
    above = values > 0
    numbers = bool(not lossy and values.max() * 2 <= white)
    mask: npt.NDArray[np.bool_] = above if numbers else values * 2 > white
    return MaskLevels(mask, int(above.sum() - mask.sum()), numbers and bool(above.any()))


def faint_words(masks: int, marked: int, faint: int) -> str:
    """Return the sentence on masks with values that are neither black nor marked.

    Args:
        masks: How many masks have such values.
        marked: Pixels that are marked in them.
        faint: Pixels of such values.
    """
    return (
        f"masks of {masks} images have values from 1 to half of white, which are not marked: {marked} pixels "
        f"are marked, and {marked + faint} would be if everything above 0 was, as in much published code"
    )


def mask_of(image: DatasetImage, shape: tuple[int, int]) -> npt.NDArray[np.bool_] | None:
    """Return an image's mask, empty for a normal image without one; None if it is anomalous without one.

    Args:
        image: The image.
        shape: (H, W) of the image.

    Raises:
        InputError: As ``read_mask``.
    """
    if image.mask is not None:
        return read_mask(image.mask, shape, image.image)
    return None if image.anomalous else np.zeros(shape, dtype=np.bool_)


def resize_mask(
    mask: npt.NDArray[np.bool_], height: int, width: int, rule: MaskRule = MASK_RULE
) -> npt.NDArray[np.bool_]:
    """Return a mask [H, W] as [height, width].

    Raises:
        InputError: If there is no such rule, or a side is below 1.
    """
    if rule not in get_args(MaskRule):
        raise InputError(f"unknown mask rule '{rule}': it is {' or '.join(get_args(MaskRule))}")
    if min(height, width) < 1:
        raise InputError(f"the sides of a mask must be 1 or more, not {height} x {width}")
    grey = np.where(mask, np.uint8(255), np.uint8(0))
    return resize(grey, height, width, "nearest" if rule == "nearest" else "bilinear") > 127


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]}"


def _values(path: str | os.PathLike[str]) -> tuple[npt.NDArray[np.int64], int, bool]:
    """Return values [H, W], the value of white, and whether the file is a JPEG."""
    try:
        if (mode := os.stat(path).st_mode) and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise InputError(f"cannot read mask '{path}': it is not a regular file")
        with Path(path).open("rb") as stream:
            with own_pixel_limit():
                image = Image.open(stream, formats=_FORMATS)
            if image.width * image.height > MAX_PIXELS:
                raise InputError(f"cannot read mask '{path}': it has over {MAX_PIXELS // 10**6} megapixels")
            lossy = image.format == "JPEG"
            image.load()
            # An image is read upright as well, so a turned mask would not lie on it.
            return *_decoded(ImageOps.exif_transpose(image), path), lossy
    except (InputError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise InputError(f"cannot read mask '{path}': not a PNG, JPEG, BMP, TIFF, WebP or GIF") from error
    except Exception as error:
        # Damaged files make Pillow raise nearly anything.
        reason = getattr(error, "strerror", None) or f"the file is damaged or truncated ({error})"
        raise InputError(f"cannot read mask '{path}': {reason}") from error


def _decoded(image: Image.Image, path: str | os.PathLike[str]) -> tuple[npt.NDArray[np.int64], int]:
    if image.mode == "1":
        return np.asarray(image.convert("L")).astype(np.int64), 255
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0:
            raise InputError(f"cannot read mask '{path}': it has negative values; save it with 8 bit")
        return values, 65535
    if image.mode == "F":
        raise InputError(f"cannot read mask '{path}': it has float values; save it with 8 bit")
    if image.mode == "L" and not image.has_transparency_data:
        return np.asarray(image).astype(np.int64), 255
    pixels = np.asarray(image.convert("RGBA")).astype(np.int64)
    # Rounded up, so that class numbers do not vanish under a slight transparency.
    return -(-pixels[..., :3].max(axis=-1) * pixels[..., 3] // 255), 255
