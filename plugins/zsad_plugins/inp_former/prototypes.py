"""Intrinsic normal prototypes: learned queries that look at an image's patches, and the distance to them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zsad.errors import InputError
from zsad.parts import BuildContext
from zsad.values import Conditioning, Features, Scores, ScoreSet
from zsad_plugins.aprilgan.heads import PreciseLinear
from zsad_plugins.inp_former.options import PrototypeOptions
from zsad_plugins.visualad.layers import PreciseNorm

EPSILON = 1e-8
"""Of the norms, as in the published code."""


def distances(tokens: Tensor, prototypes: Tensor) -> Tensor:
    """Return 1 - cos of every token with every prototype, [B, N, M], for [B, N, D] and [B, M, D]."""
    return 1 - F.normalize(tokens, dim=-1) @ F.normalize(prototypes, dim=-1).transpose(1, 2)


class IntrinsicPrototypes(nn.Module):
    """P = T + attention(LN1(T), LN1(f)); P <- P + MLP(LN2(P)); a patch scores min over P of 1 - cos(f, P).

    f is the mean of the taps' patches, and T the learned queries. One norm serves queries and patches.

    Attributes:
        queries: T, [M, D].
    """

    def __init__(self, options: PrototypeOptions, context: BuildContext) -> None:
        """Draw the queries and layers.

        Raises:
            InputError: The tower's width is no multiple of a head's.
        """
        super().__init__()
        width = context.embed_dim if context.stage == "joint" else context.vision_width
        if width % options.head_width:
            raise InputError(
                f"inp-former.prototypes has heads of {options.head_width} channels, and {width} channels of "
                "the backbone are no multiple of that; use --set scorer.head_width=N"
            )
        self.heads = width // options.head_width
        self.queries = nn.Parameter(torch.randn(options.prototypes, width))
        self.norm1, self.norm2 = (PreciseNorm(width, eps=EPSILON) for _ in range(2))
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (PreciseLinear(width, width) for _ in range(4))
        self.fc1, self.fc2 = PreciseLinear(width, 4 * width), PreciseLinear(4 * width, width)

    def forward(self, features: Features, conditioning: Conditioning) -> Scores:
        """Return one anomaly score per patch; the image score is left to a later stage."""
        tokens = self.gathered(features)
        nearest = distances(tokens, self.prototypes(tokens)).amin(-1, keepdim=True)
        return Scores((ScoreSet("distance", features.grid.to_maps(nearest), "anomaly"),))

    def gathered(self, features: Features) -> Tensor:
        """Return f, the mean of the taps' patches, [B, N, D].

        Raises:
            InputError: The taps differ in their channels or their grids.
        """
        widths = {entry.tokens.shape[-1] for entry in features.patch_sets}
        if len(widths) > 1:
            raise InputError(
                "inp-former.prototypes averages the patches of all taps, which differ in their channels here "
                f"({', '.join(map(str, sorted(widths)))}); read one of them by --set readout.taps=[N]"
            )
        assert features.grid  # refuses grids that differ
        return torch.stack([entry.tokens for entry in features.patch_sets]).mean(0)

    def prototypes(self, tokens: Tensor) -> Tensor:
        """Return P, [B, M, D], of the patches f [B, N, D]."""
        queries = self.queries.to(tokens).expand(len(tokens), -1, -1)
        seen = self.norm1(tokens)
        query, key, value = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer, x in (
                (self.q_proj, self.norm1(queries)), (self.k_proj, seen), (self.v_proj, seen),
            )
        )  # fmt: skip
        looked = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        found = queries + self.out_proj(looked)
        moved: Tensor = found + self.fc2(F.gelu(self.fc1(self.norm2(found))))
        return moved
