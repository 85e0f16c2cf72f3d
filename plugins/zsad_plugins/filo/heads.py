"""Heads from block outputs to the joint space, and the image adapter (paper, sections 3.2 and 3.3)."""

from __future__ import annotations

from dataclasses import replace

import torch.nn.functional as F
from torch import Tensor, nn

from zsad.errors import InputError
from zsad.parts import BuildContext
from zsad.values import Features, TokenSet
from zsad_plugins.aprilgan.heads import PreciseLinear
from zsad_plugins.filo.mmci import FoldedConvolution
from zsad_plugins.filo.options import HeadOptions
from zsad_plugins.filo.taps import LOCAL, ORDINARY


class Heads(nn.Module):
    """A linear head per ordinary tap, MMCI per local one, and x + SiLU(W2 ReLU(W1 x)) on the image feature.

    Attributes:
        linear: One per tap.
        convolution: One per tap but the first.
        narrow: W1, [C / reduction, C].
        widen: W2, [C, C / reduction].
    """

    def __init__(self, options: HeadOptions, context: BuildContext) -> None:
        super().__init__()
        width, joint, taps = context.vision_width, context.embed_dim, len(context.taps)
        hidden = max(1, joint // options.reduction)
        self.options = options
        self.linear = nn.ModuleList(PreciseLinear(width, joint) for _ in range(taps))
        self.convolution = nn.ModuleList(
            FoldedConvolution(width, joint, options.largest_kernel) for _ in range(taps - 1)
        )
        self.narrow = PreciseLinear(joint, hidden, bias=False)
        self.widen = PreciseLinear(hidden, joint, bias=False)

    def adapted(self, feature: Tensor) -> Tensor:
        """Return the adapted image feature [B, C], not normalised."""
        if not self.options.image_adapter:
            return feature
        return feature + F.silu(self.widen(F.relu(self.narrow(feature))))

    def forward(self, features: Features) -> Features:
        """Return joint token sets, those of the ordinary stream first, and the adapted image feature.

        Raises:
            InputError: The taps are not those that the heads were built for.
        """
        image_feature = self.adapted(features.image_feature)
        sets = self.projected(features) if self.options.patches else ()
        return replace(features, token_sets=sets, image_feature=image_feature)

    def projected(self, features: Features) -> tuple[TokenSet, ...]:
        """Return the token sets [B, N, C] in the joint space, those of the ordinary stream first.

        Raises:
            InputError: The taps are not those that the heads were built for.
        """
        ordinary = [entry for entry in features.token_sets if entry.name.startswith(ORDINARY)]
        local = [entry for entry in features.token_sets if entry.name.startswith(LOCAL)]
        if (len(ordinary), len(local)) != (len(self.linear), len(self.convolution)):
            raise InputError(
                f"filo.heads has {len(self.linear)} linear and {len(self.convolution)} convolution heads and "
                f"gets {len(ordinary)} ordinary and {len(local)} local taps; use attention_refiner=filo.taps"
            )
        tokens = [head(entry.tokens) for head, entry in zip(self.linear, ordinary, strict=True)]
        for head, entry in zip(self.convolution, local, strict=True):
            tokens.append(entry.grid.to_tokens(head(entry.grid.to_maps(entry.tokens))))
        return tuple(
            replace(entry, tokens=found, space="joint", class_token=None)
            for entry, found in zip([*ordinary, *local], tokens, strict=True)
        )
