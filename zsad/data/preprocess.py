"""From an RGB image to the tensor that a vision tower takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from zsad.data.resize import resize
from zsad.errors import InputError, nearest
from zsad.values import InputForm, Sample

RULES = ("squash", "centre-crop")
"""Known ways to bring an image to a square; none keeps the aspect. ``squash`` resizes both sides, bicubic;
``centre-crop`` resizes both sides to 8/7 of the square, bilinear, and keeps its centre."""
ORDERS = ("horizontal-first",)
"""Known orders of a resize's two passes; see :func:`zsad.data.resize.resize`."""


def to_tensor(
    image: npt.NDArray[np.uint8],
    size: int,
    mean: Sequence[float],
    std: Sequence[float],
    rule: str = "squash",
    order: str = "horizontal-first",
) -> torch.Tensor:
    """Bring to ``size`` x ``size`` (antialiased), scale to 0..1 and normalise per channel.

    The arithmetic is that of torchvision's ``ToTensor`` and ``Normalize`` step by step in float32, so that
    the result has the same bytes as the published methods' preprocessing.

    Args:
        image: RGB, [H, W, 3] uint8.
        size: Side of the square in pixels.
        mean: Per channel, of values in 0..1.
        std: Per channel, of values in 0..1.
        rule: One of ``RULES``.
        order: One of ``ORDERS``.

    Returns:
        [3, size, size] float32, contiguous, on the CPU.

    Raises:
        InputError: If the rule or the order is unknown, or the image, size, mean or std is not as described.
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
    tensor = torch.from_numpy(_square(image, size, rule)).permute(2, 0, 1).contiguous().to(torch.float32)
    # One multiplication by 1 / (255 std) would be as good but would round differently.
    tensor.div_(255)
    tensor.sub_(torch.tensor(mean, dtype=torch.float32).view(3, 1, 1))
    return tensor.div_(torch.tensor(std, dtype=torch.float32).view(3, 1, 1))


def _square(image: npt.NDArray[np.uint8], size: int, rule: str) -> npt.NDArray[np.uint8]:
    if rule == "squash":
        return resize(image, size, size, "bicubic")
    side, margin = crop_margin(size)
    within = slice(margin, margin + size)
    return resize(image, side, side, "bilinear")[within, within]


def crop_margin(size: int) -> tuple[int, int]:
    """Return the side that ``centre-crop`` resizes to, and what it cuts off before the first pixel."""
    side = round(size * 8 / 7)
    return side, round((side - size) / 2)


def whole_image(maps: torch.Tensor, rule: str) -> torch.Tensor:
    """Return maps of what a tower saw as maps of the whole image.

    Args:
        maps: [B, S, S].
        rule: One of ``RULES``.

    Returns:
        [B, S, S]. What a crop cut off has the value of the nearest pixel that was seen.
    """
    if rule == "squash":
        return maps
    size = maps.shape[-1]
    side, margin = crop_margin(size)
    # Centres of the image's pixels, in pixels of the crop, in the units of grid_sample: -1 ... 1.
    centres = (torch.arange(size, dtype=torch.float64) + 0.5) * side / size - margin
    places = (2 * centres / size - 1).to(maps)
    grid = torch.stack(torch.meshgrid(places, places, indexing="xy"), dim=-1)
    grid = grid.expand(len(maps), size, size, 2)
    return F.grid_sample(maps[:, None], grid, padding_mode="border", align_corners=False)[:, 0]


def input_tensor(samples: Sequence[Sample], form: InputForm) -> torch.Tensor:
    """Return the vision tower's input, [B, 3, S, S] float32 on the CPU; workers may have prepared it."""
    prepared = [sample.tensors.get(form) for sample in samples]
    return torch.stack(
        [
            to_tensor(sample.image, *form) if tensor is None else tensor
            for sample, tensor in zip(samples, prepared, strict=True)
        ]
    )
