"""Patch tokens on their grid: neighbourhood pooling, and the mean over taps that meets the prototypes."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.parts import BuildContext
from zsad.values import Features, Grid, TokenSet
from zsad_plugins.cops.options import PoolingOptions


class NeighbourPooling:
    """F_p <- sum of F over the k x k patches around p, divided by k^2.

    With ``border="inside"`` the divisor is the number of patches where the neighbourhood leaves the grid.
    """

    def __init__(self, options: PoolingOptions, context: BuildContext) -> None:
        self.kernel, self.counts_zeros = options.kernel, options.border == "zeros"

    def pooled(self, entry: TokenSet) -> TokenSet:
        """Pool a token set on a grid; windows and class tokens stay."""
        if not isinstance(entry.layout, Grid):
            return entry
        plane = F.avg_pool2d(
            entry.grid.to_maps(entry.tokens),
            self.kernel,
            stride=1,
            padding=self.kernel // 2,
            count_include_pad=self.counts_zeros,
        )
        return replace(entry, tokens=entry.grid.to_tokens(plane))

    def __call__(self, features: Features) -> Features:
        """Return the features with every token set pooled."""
        return replace(features, token_sets=tuple(map(self.pooled, features.token_sets)))


def tap_mean(features: Features) -> Tensor:
    """Return the mean over taps of the patch tokens, [B, N, C]."""
    return torch.stack([entry.tokens for entry in features.patch_sets]).mean(0)
