"""Linear heads: F_k = W_k X_k + b_k, from the raw patch tokens of tap k to the joint space."""

from __future__ import annotations

from dataclasses import replace

import torch.nn.functional as F
from torch import Tensor, nn

from zsad.errors import InputError
from zsad.parts import BuildContext
from zsad.values import Features
from zsad_plugins.aprilgan.options import HeadOptions


def apply_linear(layer: nn.Linear, x: Tensor) -> Tensor:
    """Apply a layer in the precision of ``x`` [..., inputs], so that a float64 tower keeps its digits."""
    bias = None if layer.bias is None else layer.bias.to(x.dtype)
    return F.linear(x, layer.weight.to(x.dtype), bias)


class PreciseLinear(nn.Linear):
    """A linear layer in the precision of what it is given."""

    def forward(self, x: Tensor) -> Tensor:
        """Return W x + b, [..., outputs], for x [..., inputs]."""
        return apply_linear(self, x)


class LinearHeads(nn.Module):
    """One linear layer per tap, for its patch tokens; class tokens are dropped.

    Attributes:
        heads: The layers in the order of the taps, each from D to C channels.
        keep_raw: Whether the raw token sets stay, behind the projected ones and under names of their own.
    """

    def __init__(self, options: HeadOptions, context: BuildContext) -> None:
        super().__init__()
        self.keep_raw = options.keep_raw
        self.heads = nn.ModuleList(
            PreciseLinear(context.vision_width, context.embed_dim) for _ in context.taps
        )

    def forward(self, features: Features) -> Features:
        """Return the features with token sets [B, N, C] in the joint space; the image feature stays.

        Raises:
            InputError: The refiner reads another number of token sets than there are taps.
        """
        if len(features.token_sets) != len(self.heads):
            raise InputError(
                f"there are {len(self.heads)} linear heads, one per tap, but the attention refiner reads "
                f"{len(features.token_sets)} token sets; choose one that reads each tap once"
            )
        projected = tuple(
            replace(entry, tokens=head(entry.tokens), space="joint", class_token=None)
            for head, entry in zip(self.heads, features.token_sets, strict=True)
        )
        raw = tuple(replace(entry, name=f"raw.{entry.name}") for entry in features.token_sets)
        return replace(features, token_sets=(*projected, *raw) if self.keep_raw else projected)
