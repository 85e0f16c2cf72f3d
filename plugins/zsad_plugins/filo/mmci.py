"""MMCI: six parallel convolutions of the patch grid, which are one (paper, section 3.3)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

KERNELS = {"11": (1, 1), "33": (3, 3), "55": (5, 5), "77": (7, 7), "51": (5, 1), "15": (1, 5)}
"""Height and width of the kernels, by their names in published files."""
SIDE = 7


def fold(kernels: Iterable[Tensor]) -> Tensor:
    """Return the one kernel that does what the sum of all does.

    With zero padding that keeps the grid, a small kernel equals itself in the centre of a large one.

    Args:
        kernels: [C, D, kh, kw] with odd sides up to 7.

    Returns:
        [C, D, 7, 7].
    """
    centred = [
        F.pad(kernel, _margins(kernel.shape[3]) + _margins(kernel.shape[2]))
        for kernel in kernels
    ]  # fmt: skip
    return torch.stack(centred).sum(dim=0)


class FoldedConvolution(nn.Conv2d):
    """A ``side`` x ``side`` convolution that starts as the freshly drawn ones that fit do together."""

    def __init__(self, channels: int, outputs: int, side: int = SIDE) -> None:
        super().__init__(channels, outputs, side, padding=side // 2)
        fitting = [shape for shape in KERNELS.values() if max(shape) <= side]
        drawn = [nn.Conv2d(channels, outputs, shape) for shape in fitting]
        cut = slice((SIDE - side) // 2, (SIDE + side) // 2)
        with torch.no_grad():
            self.weight.copy_(fold(each.weight for each in drawn)[:, :, cut, cut])
            self.bias.copy_(sum(each.bias for each in drawn))  # type: ignore[union-attr,arg-type,misc]

    def forward(self, maps: Tensor) -> Tensor:
        """Return the convolution [B, C, h, w] of maps [B, D, h, w], in their precision."""
        bias = None if self.bias is None else self.bias.to(maps.dtype)
        return F.conv2d(maps, self.weight.to(maps.dtype), bias, padding=self.padding)


def _margins(size: int) -> tuple[int, int]:
    return ((SIDE - size) // 2, (SIDE - size) // 2)
