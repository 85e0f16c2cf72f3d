"""Local neighbourhood aggregation with multiple degrees, LNAMD (paper, section 3.1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch.nn.functional as F
from torch import Tensor

from zsad.parts import BuildContext
from zsad.values import Features, TokenSet
from zsad_plugins.musc.options import LnamdOptions

EPSILON = 1e-5
"""Added to the variance, as in the published code."""


def normalised_map(entry: TokenSet) -> Tensor:
    """Return a tap's patch map [B, D, h, w], with mean 0 and variance 1 over places and channels together."""
    layout = entry.grid.to_maps(entry.tokens)
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


class Lnamd:
    """Turns every tap into one set of unit tokens per neighbourhood: side by side, tap by tap in each.

    Attributes:
        sides: r of each degree.
    """

    def __init__(self, options: LnamdOptions, context: BuildContext) -> None:
        self.sides = options.sides

    def __call__(self, features: Features) -> Features:
        """Return the features with their token sets replaced; the sets have no class token."""
        return replace(features, token_sets=tuple(self._sets(features)))

    def _sets(self, features: Features) -> Iterator[TokenSet]:
        maps = [normalised_map(entry) for entry in features.token_sets]
        for side in self.sides:
            for entry, layout in zip(features.token_sets, maps, strict=True):
                name = f"{entry.name}.r{side}"
                yield replace(entry, name=name, tokens=aggregate(layout, side), class_token=None)
