"""Hybrid prompts: P_b = S_b + G(g), static tokens per block plus tokens of the image."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zsad_plugins.adaclip.options import PromptOptions

INITIAL_DEVIATION = 0.02
"""Standard deviation of freshly drawn static tokens, as in the published code."""


def apply_by_image(layer: nn.Linear, features: Tensor) -> Tensor:
    """Apply a layer to image features [B, inputs], in their precision and to each as if it were alone."""
    weight, bias = layer.weight.to(features.dtype), layer.bias.to(features.dtype)
    count = len(features)
    return torch.baddbmm(bias.expand(count, 1, -1), features[:, None], weight.T.expand(count, -1, -1))[:, 0]


class HybridPrompts(nn.Module):
    """Static and dynamic prompts of one tower.

    Attributes:
        static: [blocks, length, D], or None.
        generator: G, from the C channels of the image feature to ``length`` tokens of D channels, or None.
    """

    def __init__(self, options: PromptOptions, blocks: int, width: int, embed_dim: int) -> None:
        super().__init__()
        self.length, self.width, self.blocks = options.length, width, blocks
        static = torch.randn(blocks, options.length, width) * INITIAL_DEVIATION
        self.static = nn.Parameter(static) if options.static else None
        self.generator = nn.Linear(embed_dim, options.length * width) if options.dynamic else None

    def dynamic(self, image_feature: Tensor) -> Tensor:
        """Return G(g), [B, length, D], for image features [B, C] of the pass without prompts."""
        if self.generator is None:
            return image_feature.new_zeros(len(image_feature), self.length, self.width)
        flat = apply_by_image(self.generator, image_feature)
        return flat.reshape(len(flat), self.length, self.width)

    def forward(self, image_feature: Tensor) -> Tensor:
        """Return the tokens of every block, [blocks, B, length, D], for image features [B, C]."""
        dynamic = self.dynamic(image_feature).expand(self.blocks, -1, -1, -1)
        return dynamic if self.static is None else dynamic + self.static[:, None].to(dynamic.dtype)
