"""From an RGB image to the tensor that a vision tower takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from zsad.data.images import MAX_PIXELS
from zsad.data.resize import resize
from zsad.errors import InputError, nearest
from zsad.inputs import ImageResize, InputForm, cut_of, resized_size
from zsad.values import Sample

RULES: tuple[ImageResize, ...] = get_args(ImageResize)
"""Known ways to bring an image to a size; see :data:`zsad.inputs.ImageResize`."""
ORDERS = ("horizontal-first",)
"""Known orders of a resize's two passes; see :func:`zsad.data.resize.resize`."""


def to_tensor(
    image: npt.NDArray[np.uint8],
    size: int,
    mean: Sequence[float],
    std: Sequence[float],
    rule: ImageResize = "squash",
    order: str = "horizontal-first",
) -> torch.Tensor:
    """Bring to ``size`` (antialiased), scale to 0..1 and normalise per channel.

    The arithmetic is that of torchvision's ``ToTensor`` and ``Normalize`` step by step in float32, so that
    the result has the same bytes as the published methods' preprocessing.

    Args:
        image: RGB, [H, W, 3] uint8.
        size: Side of the square, or length of the short side, in pixels.
        mean: Per channel, of values in 0..1.
        std: Per channel, of values in 0..1.
        rule: One of ``RULES``.
        order: One of ``ORDERS``.

    Returns:
        [3, h, w] float32, contiguous, on the CPU: a square of ``size``, or the whole image with a short side
        of ``size``, of which nothing is cut yet.

    Raises:
        InputError: If the rule or the order is unknown, the image, size, mean or std is not as described, or
            the result would have over ``MAX_PIXELS``.
    """
    for what, name, known in (("rule", rule, RULES), ("order", order, ORDERS)):
        if name not in known:
            raise InputError(
                f"unknown resize {what} '{name}' (known: {', '.join(known)}){nearest(name, known)}"
            )
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise InputError(f"an RGB image must be uint8 [H, W, 3], not {image.dtype} {list(image.shape)}")
    if size < 1:
        raise InputError(f"the image size must be at least 1, not {size}")
    if len(mean) != 3 or len(std) != 3 or not all(value > 0 for value in std):
        raise InputError("mean and std must have one value per RGB channel, and std must be positive")
    height, width = resized_size(image.shape[0], image.shape[1], size, rule)
    if height * width > MAX_PIXELS and rule == "short-side":
        raise InputError(
            f"an image of {image.shape[1]} x {image.shape[0]} pixels would have over "
            f"{MAX_PIXELS // 10**6} megapixels with a short side of {size}; use --tile, or "
            "--set profile.image_resize=squash"
        )
    if rule == "centre-crop":
        side, margin = crop_margin(size)
        within = slice(margin, margin + size)
        resized = resize(image, side, side, "bilinear")[within, within]
    else:
        resized = resize(image, height, width, "bicubic")
    tensor = torch.from_numpy(resized).permute(2, 0, 1).contiguous().to(torch.float32)
    # One multiplication by 1 / (255 std) would be as good but would round differently.
    tensor.div_(255)
    tensor.sub_(torch.tensor(mean, dtype=torch.float32).view(3, 1, 1))
    return tensor.div_(torch.tensor(std, dtype=torch.float32).view(3, 1, 1))


def crop_margin(size: int) -> tuple[int, int]:
    """Return the side that ``centre-crop`` resizes to, and what it cuts off before the first pixel."""
    side = round(size * 8 / 7)
    return side, round((side - size) / 2)


def whole_image(maps: torch.Tensor, rule: ImageResize) -> torch.Tensor:
    """Return maps of what a tower saw as maps of the whole image, where ``centre-crop`` cut its border off.

    Args:
        maps: [B, H, W].
        rule: One of ``RULES``.

    Returns:
        [B, H, W]. What was cut off has the value of the nearest pixel that was seen.
    """
    if rule != "centre-crop":
        return maps
    size = maps.shape[-1]
    side, margin = crop_margin(size)
    # Centres of the image's pixels, in pixels of the crop, in the units of grid_sample: -1 ... 1.
    centres = (torch.arange(size, dtype=torch.float64) + 0.5) * side / size - margin
    places = (2 * centres / size - 1).to(maps)
    grid = torch.stack(torch.meshgrid(places, places, indexing="xy"), dim=-1)
    grid = grid.expand(len(maps), size, size, 2)
    return F.grid_sample(maps[:, None], grid, padding_mode="border", align_corners=False)[:, 0]


def size_of(sample: Sample, form: InputForm) -> tuple[int, int]:
    """Return height and width of a sample once it is resized."""
    prepared = sample.tensors.get(form)
    if prepared is not None:
        return prepared.shape[1], prepared.shape[2]
    return resized_size(sample.image.shape[0], sample.image.shape[1], form.size, form.rule)


def equal_sizes(samples: Sequence[Sample], form: InputForm) -> list[list[int]]:
    """Return the places of samples that can share a batch, in the order of the first of them."""
    found: dict[tuple[int, int], list[int]] = {}
    for place, sample in enumerate(samples):
        found.setdefault(size_of(sample, form), []).append(place)
    return list(found.values())


def input_tensor(samples: Sequence[Sample], form: InputForm, patch_size: int) -> torch.Tensor:
    """Return the vision tower's input on the CPU; workers may have prepared it.

    Args:
        samples: The images.
        form: What they are brought to.
        patch_size: Side in pixels of the tower's patches, of which it sees whole ones.

    Returns:
        [B, 3, H, W] float32.

    Raises:
        InputError: The images differ in their size.
    """
    sizes = sorted({size_of(sample, form) for sample in samples})
    if len(sizes) > 1:
        raise InputError(
            f"images of {_words(sizes[0])} and {_words(sizes[-1])} pixels cannot share a batch; give those "
            "of one shape at a time, or use --set profile.image_resize=squash"
        )
    prepared = [sample.tensors.get(form) for sample in samples]
    whole = torch.stack(
        [
            to_tensor(sample.image, *form) if tensor is None else tensor
            for sample, tensor in zip(samples, prepared, strict=True)
        ]
    )
    bottom, right = cut_of(sizes[0], patch_size, form.rule)
    return whole[:, :, : whole.shape[2] - bottom, : whole.shape[3] - right]


def _words(size: tuple[int, int]) -> str:
    return f"{size[1]} x {size[0]}"
