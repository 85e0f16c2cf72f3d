"""Rotary positions: queries and keys of patches are turned by angles that their places give (DINOv3)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from zsad.values import Grid


@dataclass(frozen=True)
class Rotation:
    """The angles of one grid.

    Attributes:
        sine: [h * w, d], d channels of a head.
        cosine: [h * w, d].
    """

    sine: Tensor
    cosine: Tensor

    def turn(self, x: Tensor, patches: slice) -> Tensor:
        """Turn the patches among the places of heads [B, heads, T, d]; channel i pairs with i + d / 2."""
        before, turned, behind = x[:, :, : patches.start], x[:, :, patches], x[:, :, patches.stop :]
        first, second = turned.chunk(2, dim=-1)
        turned = turned * self.cosine + torch.cat([-second, first], dim=-1) * self.sine
        return torch.cat([before, turned.to(x.dtype), behind], dim=2)


@dataclass(frozen=True)
class Rotary:
    """What angles are made of (Simeoni et al., "DINOv3", 2025).

    The centres of the patches lie at -1 ... 1 along either side, whatever the grid, so that no table is ever
    resized. Half of the channels turn with the row, the other half with the column.

    Attributes:
        periods: [d / 4], in float32 or better: the angle is 2 pi coordinate / period.
    """

    periods: Tensor

    def on(self, grid: Grid) -> Rotation:
        """Return the rotation of a grid, in the periods' precision."""
        sides = (grid.height, grid.width)
        coordinates = [2 * (torch.arange(0.5, side).to(self.periods) / side) - 1 for side in sides]
        places = torch.stack(torch.meshgrid(*coordinates, indexing="ij"), dim=-1).flatten(0, 1)
        angles = (2 * math.pi * places[:, :, None] / self.periods).flatten(1).repeat(1, 2)
        return Rotation(angles.sin(), angles.cos())
