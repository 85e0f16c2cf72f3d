"""What an image is brought to before a vision tower takes it: the form, and the sizes that follow from it."""

from __future__ import annotations

from typing import Literal, NamedTuple

ImageResize = Literal["squash", "short-side", "centre-crop"]
"""How an image is brought to the size that is asked for: ``squash`` resizes both sides to it, without a crop,
so that every image becomes a square, as with ``centre-crop``, which resizes both sides to 8/7 of it,
bilinear, and keeps the centre. ``short-side`` resizes the short side to it and keeps the aspect; the
tower sees whole patches, so that less than a patch may be missing at the end of the long side."""


class InputForm(NamedTuple):
    """What a vision tower takes: images that agree in it need be resized once.

    Attributes:
        size: Side of the square, or length of the short side, in pixels.
        mean: Per channel, of values in 0..1.
        std: Per channel, of values in 0..1.
        rule: How an image is brought to the size.
        order: Which pass of the resize comes first; see :func:`zsad.data.resize.resize`.
    """

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    rule: ImageResize = "squash"
    order: str = "horizontal-first"


def resized_size(height: int, width: int, size: int, rule: ImageResize) -> tuple[int, int]:
    """Return height and width to which an image is resized.

    Under ``short-side`` the long side is cut down to a whole number, as torchvision's ``Resize`` does.
    """
    if rule != "short-side":
        return size, size
    short = max(1, min(height, width))  # what is empty is refused where it is resized
    return size * height // short, size * width // short


def cut_of(size: tuple[int, int], patch_size: int, rule: ImageResize) -> tuple[int, int]:
    """Return how many rows at the bottom and columns at the right a tower does not see of a resized image.

    What is left is a whole number of patches, as Damm et al. (WACV 2025) cut their images.
    """
    height, width = size
    return (0, 0) if rule != "short-side" else (height % patch_size, width % patch_size)
