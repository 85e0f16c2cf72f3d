"""Patch tokens on their grid: neighbourhood pooling, and the mean over taps that meets the prototypes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.errors import InputError
from zsad.parts import BuildContext
from zsad.values import Features, Grid, TokenSet
from zsad_plugins.cops.options import PoolingOptions


@dataclass(frozen=True)
class NeighbourPooling:
    """F_p <- sum of F over the k x k patches around p, divided by k^2.

    Attributes:
        kernel: k, odd.
        border: With ``zeros`` the divisor is k^2 also where the neighbourhood leaves the grid; with
            ``inside`` it is the number of patches.
    """

    kernel: int
    border: str = "zeros"

    def pooled(self, tokens: Tensor, grid: Grid) -> Tensor:
        """Pool tokens [B, h * w, D]."""
        plane = tokens.transpose(1, 2).reshape(*tokens.shape[::2], grid.height, grid.width)
        plane = F.avg_pool2d(
            plane, self.kernel, stride=1, padding=self.kernel // 2, count_include_pad=self.border == "zeros"
        )
        return plane.flatten(2).transpose(1, 2)

    def __call__(self, features: Features) -> Features:
        """Return the features with every token set on a grid pooled; windows and class tokens stay."""
        sets = (
            replace(entry, tokens=self.pooled(entry.tokens, entry.layout))
            if isinstance(entry.layout, Grid)
            else entry
            for entry in features.token_sets
        )
        return replace(features, token_sets=tuple(sets))


def patch_sets(features: Features) -> list[tuple[TokenSet, Grid]]:
    """Return the token sets that lie on a patch grid.

    Raises:
        InputError: There are none.
    """
    found = [(entry, entry.layout) for entry in features.token_sets if isinstance(entry.layout, Grid)]
    if not found:
        raise InputError("CoPS reads patch tokens, and this recipe has only windows")
    return found


def tap_mean(features: Features) -> Tensor:
    """Return the mean over taps of the patch tokens, [B, N, C]."""
    return torch.stack([entry.tokens for entry, _ in patch_sets(features)]).mean(0)


def build_pooling(options: PoolingOptions, context: BuildContext) -> NeighbourPooling:
    """Build the adapter."""
    return NeighbourPooling(options.kernel, options.border)
