"""Heads from block outputs to the joint space, and the image adapter (paper, sections 3.2 and 3.3)."""

from __future__ import annotations

from dataclasses import replace

import torch.nn.functional as F
from torch import Tensor, nn

from zsad.errors import InputError
from zsad.parts import BuildContext
from zsad.values import Features, Grid, TokenSet
from zsad_plugins.aprilgan.heads import apply_linear
from zsad_plugins.filo.mmci import folded_convolution
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

    def __init__(self, options: HeadOptions, width: int, joint: int, taps: int) -> None:
        super().__init__()
        hidden = max(1, joint // options.reduction)
        self.adapts, self.projects = options.image_adapter, options.patches
        self.linear = nn.ModuleList(nn.Linear(width, joint) for _ in range(taps))
        self.convolution = nn.ModuleList(
            folded_convolution(width, joint, options.largest_kernel) for _ in range(taps - 1)
        )
        self.narrow = nn.Linear(joint, hidden, bias=False)
        self.widen = nn.Linear(hidden, joint, bias=False)

    def adapted(self, feature: Tensor) -> Tensor:
        """Return the adapted image feature [B, C], not normalised."""
        if not self.adapts:
            return feature
        return feature + F.silu(apply_linear(self.widen, F.relu(apply_linear(self.narrow, feature))))

    def forward(self, features: Features) -> Features:
        """Return joint token sets, those of the ordinary stream first, and the adapted image feature.

        Raises:
            InputError: The taps are not those that the heads were built for.
        """
        image_feature = self.adapted(features.image_feature)
        sets = self.projected(features) if self.projects else ()
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
        linear = [
            _joint(entry, project(head, entry))
            for entry, head in zip(ordinary, self.linear, strict=True)
        ]  # fmt: skip
        convolved = [
            _joint(entry, convolve(head, entry))
            for entry, head in zip(local, self.convolution, strict=True)
        ]  # fmt: skip
        return (*linear, *convolved)


def project(head: nn.Module, entry: TokenSet) -> Tensor:
    """Return a token set's tokens through a linear head: [B, N, C]."""
    assert isinstance(head, nn.Linear)
    return apply_linear(head, entry.tokens)


def convolve(head: nn.Module, entry: TokenSet) -> Tensor:
    """Return the convolution of a token set on its grid, in the tokens' precision: [B, N, C]."""
    assert isinstance(head, nn.Conv2d) and head.bias is not None
    assert isinstance(entry.layout, Grid)  # 'patch_tokens' is required
    image = entry.tokens.transpose(1, 2).reshape(
        len(entry.tokens), -1, entry.layout.height, entry.layout.width
    )
    weight, bias = head.weight.to(image.dtype), head.bias.to(image.dtype)
    convolved = F.conv2d(image, weight, bias, padding=head.padding)
    return convolved.flatten(2).transpose(1, 2)


def _joint(entry: TokenSet, tokens: Tensor) -> TokenSet:
    return replace(entry, tokens=tokens, space="joint", class_token=None)


def build(options: HeadOptions, context: BuildContext) -> Heads:
    """Build the heads for the backbone's widths and taps."""
    return Heads(options, context.vision_width, context.embed_dim, len(context.taps))
