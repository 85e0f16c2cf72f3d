"""The heads behind the vision tower: a projection per tap for patches, one more for the image."""

from __future__ import annotations

from dataclasses import replace

import torch.nn.functional as F
from torch import nn

from zsad.errors import InputError
from zsad.parts import BuildContext
from zsad.values import Features
from zsad_plugins.aa_clip.options import HeadOptions
from zsad_plugins.aa_clip.residual import xavier_linear


class Heads(nn.Module):
    """F_l = norm(W_l x_l) for the patches of tap l, and g = mean over the patches of norm(W_det x_L).

    x_l are tokens behind ln_post; g, which is not normalised again, takes the place of the image feature, and
    the class token plays no part.

    Attributes:
        seg: W_l, one per tap, from D to C channels, without bias.
        det: W_det.
    """

    def __init__(self, options: HeadOptions, context: BuildContext) -> None:
        super().__init__()
        sizes = context.vision_width, context.embed_dim
        self.seg = nn.ModuleList(xavier_linear(*sizes) for _ in context.taps)
        self.det = xavier_linear(*sizes)
        self.project = options.project

    def forward(self, features: Features) -> Features:
        """Return the features with token sets [B, N, C] in the joint space.

        Raises:
            InputError: The refiner reads another number of token sets than there are taps, or there was no
                plain pass whose image feature could be added.
        """
        if not self.project:
            return _guided(features)
        if len(features.token_sets) != len(self.seg):
            raise InputError(
                f"there are {len(self.seg)} heads, one per tap, but the attention refiner reads "
                f"{len(features.token_sets)} token sets; choose one that reads each tap once"
            )
        image = F.normalize(self.det(features.token_sets[-1].tokens), dim=-1).mean(1)
        sets = tuple(
            replace(
                entry,
                tokens=F.normalize(head(entry.tokens), dim=-1),
                space="joint",
                class_token=None,
                injected=None,
            )
            for head, entry in zip(self.seg, features.token_sets, strict=True)
        )
        return replace(features, token_sets=sets, image_feature=image)


def _guided(features: Features) -> Features:
    """Return joint patches norm(F) + norm(g), g the image feature of the plain pass, not normalised again."""
    if features.prepass is None:
        raise InputError(
            "aa-clip.heads without projection adds the image feature of a plain pass, and the attention "
            "refiner asks for none; set attention_refiner.attention to vv, or feature_adapter.project to true"
        )
    image = F.normalize(features.prepass, dim=-1)[:, None]
    sets = tuple(
        replace(entry, tokens=F.normalize(entry.tokens, dim=-1) + image, class_token=None, injected=None)
        for entry in features.token_sets
    )
    return replace(features, token_sets=sets)
