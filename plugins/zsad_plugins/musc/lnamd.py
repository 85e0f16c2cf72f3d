"""Local neighbourhood aggregation with multiple degrees, LNAMD (paper, section 3.1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch.nn.functional as F
from torch import Tensor

from zsad.errors import InputError
from zsad.parts import BuildContext
from zsad.values import Features, Grid, TokenSet
from zsad_plugins.musc.options import LnamdOptions

EPSILON = 1e-5
"""Added to the variance, as in the published code."""


def normalised_map(tokens: Tensor, grid: Grid) -> Tensor:
    """Return a tap's patch map with mean 0 and variance 1 over all its places and channels together.

    Args:
        tokens: [B, h * w, D].
        grid: Their layout.

    Returns:
        [B, D, h, w].
    """
    layout = tokens.transpose(1, 2).reshape(len(tokens), -1, grid.height, grid.width)
    return F.layer_norm(layout, layout.shape[1:], eps=EPSILON)


def aggregate(layout: Tensor, side: int) -> Tensor:
    """Return every patch's mean over the r x r patches around it, as unit vectors.

    Patches outside the image count as zeros. By which number the sum is divided at the border cannot be
    seen, as the vectors are normalised.

    Args:
        layout: [B, D, h, w].
        side: r, odd.

    Returns:
        [B, h * w, D].
    """
    pooled = F.avg_pool2d(layout, side, stride=1, padding=side // 2)
    return F.normalize(pooled.flatten(2).transpose(1, 2), dim=-1)


@dataclass(frozen=True)
class Lnamd:
    """Turns every tap into one set of unit tokens per neighbourhood: side by side, tap by tap in each.

    Attributes:
        sides: r of each degree.
    """

    sides: tuple[int, ...]

    def __call__(self, features: Features) -> Features:
        """Return the features with their token sets replaced; the sets have no class token."""
        return replace(features, token_sets=tuple(self._sets(features)))

    def _sets(self, features: Features) -> Iterator[TokenSet]:
        maps = [normalised_map(entry.tokens, _grid(entry)) for entry in features.token_sets]
        for side in self.sides:
            for entry, layout in zip(features.token_sets, maps, strict=True):
                name = f"{entry.name}.r{side}"
                yield replace(entry, name=name, tokens=aggregate(layout, side), class_token=None)


def _grid(entry: TokenSet) -> Grid:
    if not isinstance(entry.layout, Grid):
        raise InputError(f"musc.lnamd averages patch tokens; '{entry.name}' holds windows")
    return entry.layout


def build(options: LnamdOptions, context: BuildContext) -> Lnamd:
    """Build the adapter."""
    return Lnamd(options.sides)
