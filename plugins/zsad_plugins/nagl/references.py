"""What is remembered: normal tokens, the abnormal ones inside the masks, and where these lie."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.errors import InputError
from zsad.parts import BuildContext, Memory
from zsad.values import Features, Grid, TokenSet
from zsad_plugins.nagl.options import ReferenceOptions


def only_set(features: Features) -> TokenSet:
    """Return the one token set that is read.

    Raises:
        InputError: There are several.
    """
    sets = features.patch_sets
    if len(sets) != 1:
        raise InputError(
            f"nagl reads the tokens of one tap, and there are {len(sets)}; name one by --set readout.taps=[N]"
        )
    return sets[0]


def places(grid: Grid, device: torch.device) -> Tensor:
    """Return row and column of every cell, counted from 1, as shares of their number: [N, 2]."""
    rows = torch.arange(1, grid.height + 1, device=device) / grid.height
    columns = torch.arange(1, grid.width + 1, device=device) / grid.width
    return torch.cartesian_prod(rows, columns)


def sine(where: Tensor, width: int) -> Tensor:
    """Return the position embedding of places, half its channels for the row and half for the column.

    The one of detection transformers (Carion et al., ECCV 2020): sines and cosines in turn, at wavelengths
    from 1 to 10,000 times the image.

    Args:
        where: [n, 2], shares of the image.
        width: Channels, a multiple of 4.

    Returns:
        [n, width].
    """
    half = width // 2
    pair = torch.arange(0, half, 2, dtype=torch.float64, device=where.device)
    angles = where[..., None] * 2 * math.pi / (10000 ** (pair / half)).to(where)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-3)


def marked_cells(masks: Tensor, grid: Grid) -> Tensor:
    """Return [B, N] bool: cells in which a pixel of the masks [B, S, S] lies."""
    return F.adaptive_max_pool2d(masks.float()[:, None], (grid.height, grid.width)).flatten(1) > 0


class References:
    """Remembers every token of normal references, and those of abnormal ones that lie in their masks.

    What lies outside a mask is not kept, so that it has no influence.
    """

    def __init__(self, options: ReferenceOptions, context: BuildContext) -> None:
        pass

    def remember(self, features: Features, masks: Tensor | None) -> Memory:
        """Return ``normal`` [B * N, D], or ``abnormal`` [m, D] and their ``places`` [m, 2]."""
        entry = only_set(features)
        if masks is None:
            return {"normal": entry.tokens.flatten(0, 1)}
        marked = marked_cells(masks, entry.grid)
        where = places(entry.grid, masks.device).expand(len(masks), -1, -1)
        return {"abnormal": entry.tokens[marked], "places": where[marked].to(entry.tokens)}

    def fit(self, kept: Sequence[Memory]) -> Memory:
        """Return the tokens of all references."""
        names = dict.fromkeys(name for batch in kept for name in batch)
        return {name: torch.cat([batch[name] for batch in kept if name in batch]) for name in names}
