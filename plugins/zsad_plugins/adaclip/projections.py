"""Projections: F_k = W_k X_k + b_k for patches and g' = W g + b for the image feature."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from zsad.parts import BuildContext
from zsad.values import Features
from zsad_plugins.adaclip.hybrid import apply_by_image
from zsad_plugins.aprilgan.heads import LinearHeads
from zsad_plugins.aprilgan.options import HeadOptions


class Projections(nn.Module):
    """Linear layers for the patch tokens of each tap and for the image feature.

    Attributes:
        patches: One layer per tap, from D to C channels.
        image: From C to C channels.
    """

    def __init__(self, options: None, context: BuildContext) -> None:
        super().__init__()
        self.patches = LinearHeads(HeadOptions(), context)
        self.image = nn.Linear(context.embed_dim, context.embed_dim)

    def forward(self, features: Features) -> Features:
        """Return the features with token sets [B, N, C] and the image feature [B, C] projected.

        Raises:
            InputError: The refiner reads another number of token sets than there are taps.
        """
        projected: Features = self.patches(features)
        image = apply_by_image(self.image, features.image_feature)
        # Without visual prompts the only pass is the plain one, whose feature the text prompts need.
        return replace(projected, image_feature=image, prepass=features.plain_image_feature)
