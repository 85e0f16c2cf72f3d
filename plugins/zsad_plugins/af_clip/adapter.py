"""The spatial adapter: neighbourhoods of every tap through one self-attention, then to the joint space."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zsad.errors import InputError
from zsad.parts import BuildContext
from zsad.values import Features, Grid, TokenSet
from zsad_plugins.af_clip.options import AdapterOptions
from zsad_plugins.aprilgan.heads import PreciseLinear


def neighbour_weights(side: int, deviation: float) -> Tensor:
    """Return [r, r], exp(-(dx^2 + dy^2) / (2 s^2)) divided by its sum, float64."""
    offsets = torch.arange(side, dtype=torch.float64) - side // 2
    weights = torch.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * deviation**2))
    return weights / weights.sum()


def neighbourhoods(patches: Tensor, grid: Grid, weights: Tensor) -> Tensor:
    """Return every patch's weighted sum over the r x r patches around it; outside the grid lie zeros.

    Args:
        patches: [B, N, D] on the grid.
        grid: Their grid.
        weights: [r, r].

    Returns:
        [B, N, D].
    """
    side = weights.shape[0]
    if side == 1:
        return patches
    planes = grid.to_maps(patches)
    kernel = weights.to(planes)[None, None]
    summed = F.conv2d(planes.flatten(0, 1)[:, None], kernel, padding=side // 2)
    return grid.to_tokens(summed.view_as(planes))


class NeighbourAdapter(nn.Module):
    """G = proj(ln_post(A(F_r))), where A is out(attention(LN(.))) over all tokens, without a residual.

    Every tap gives one token set per neighbourhood, tap by tap; class tokens pass the neighbourhoods as they
    are and take part in the attention. All sets share A.
    """

    def __init__(self, options: AdapterOptions, context: BuildContext) -> None:
        super().__init__()
        self.sides, self.deviation, self.heads = options.sides, options.deviation, options.heads
        self.keep_raw = options.keep_raw
        width, inner = context.vision_width, options.heads * options.head_width
        self.norm = nn.LayerNorm(width)
        self.q_proj, self.k_proj, self.v_proj = (PreciseLinear(width, inner, bias=False) for _ in range(3))
        self.out_proj = PreciseLinear(inner, width)
        self.to_joint = context.to_joint

    def forward(self, features: Features) -> Features:
        """Return the features with token sets [B, N, C] in the joint space; the image feature stays.

        With ``keep_raw`` the sets [B, N, D] before the attention follow them.
        """
        before = tuple(self.neighbours(features))
        adapted = tuple(self._adapted(entry) for entry in before)
        raw = tuple(replace(entry, name=f"raw.{entry.name}") for entry in before)
        return replace(features, token_sets=(*adapted, *raw) if self.keep_raw else adapted)

    def neighbours(self, features: Features) -> Iterator[TokenSet]:
        """Yield the token sets before the attention, one per tap and neighbourhood."""
        for entry in features.patch_sets:
            for side in self.sides:
                weights = neighbour_weights(side, self.deviation)
                tokens = neighbourhoods(entry.tokens, entry.grid, weights)
                yield replace(entry, name=f"{entry.name}.r{side}", tokens=tokens)

    def attend(self, tokens: Tensor) -> Tensor:
        """Return the attention's output [B, T, D] for tokens [B, T, D]."""
        norm = self.norm
        x = F.layer_norm(
            tokens, norm.normalized_shape, norm.weight.to(tokens), norm.bias.to(tokens), norm.eps
        )
        q, k, v = (self._split(layer(x)) for layer in (self.q_proj, self.k_proj, self.v_proj))
        heads = F.scaled_dot_product_attention(q, k, v)
        return self.out_proj(heads.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def _split(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)

    def _adapted(self, entry: TokenSet) -> TokenSet:
        if entry.class_token is None:
            raise InputError(
                f"token set '{entry.name}' has no class token, which the adapter attends to; choose an "
                "attention_refiner that reads one"
            )
        joint = self.to_joint(self.attend(torch.cat([entry.class_token[:, None], entry.tokens], dim=1)))
        return replace(entry, tokens=joint[:, 1:], class_token=joint[:, 0], space="joint", registers=None)
