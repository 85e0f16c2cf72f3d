"""Neighbourhoods: the mean of box averages of several sizes."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.parts import BuildContext
from zsad.values import Features, Grid, TokenSet
from zsad_plugins.mrad.options import NeighbourOptions


def box_means(patches: Tensor, grid: Grid, sides: tuple[int, ...]) -> Tensor:
    """Return the mean over r of the sums over the r x r patches around each, divided by r^2.

    Args:
        patches: [B, N, D] on the grid; outside it lie zeros.
        grid: Their grid.
        sides: r of each box.

    Returns:
        [B, N, D].
    """
    planes = grid.to_maps(patches)
    means = [F.avg_pool2d(planes, side, stride=1, padding=side // 2) for side in sides]
    return grid.to_tokens(torch.stack(means).mean(0))


class NeighbourMean:
    """nb(f): every patch token on a grid averaged with its neighbours; class tokens stay."""

    def __init__(self, options: NeighbourOptions, context: BuildContext) -> None:
        self.sides = options.sides

    def _averaged(self, entry: TokenSet) -> TokenSet:
        return replace(entry, tokens=box_means(entry.tokens, entry.grid, self.sides))

    def __call__(self, features: Features) -> Features:
        """Return the features with every token set averaged."""
        return replace(features, token_sets=tuple(map(self._averaged, features.patch_sets)))
