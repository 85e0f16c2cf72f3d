"""Hybrid prompts of both towers: P_b = S_b + G(g), static tokens per block plus tokens of the image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from zsad.errors import InputError
from zsad.parts import BuildContext
from zsad.prompts import DeepPrompts, Prompts
from zsad.streams import Injection, VisionRequest, tap_requests
from zsad.values import Features
from zsad_plugins.adaclip.options import PromptOptions, TextPromptOptions, VisualPromptOptions

FIRST_BLOCK, POSITION = 2, 1
"""Deep prompts replace the states behind the start token, from the input of the second text block on."""

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


class VisualPrompts(nn.Module):
    """Appends tokens at block 1, replaces them at the next blocks, and reads the taps without them.

    Attributes:
        prompts: The tokens.
        rounded: Whether tokens are rounded to float16, as the text profile says of deep prompts; the
            published code does so in both towers.
    """

    needs_prepass = True

    def __init__(self, options: VisualPromptOptions, context: BuildContext) -> None:
        super().__init__()
        blocks = options.blocks.resolve(context.depth)
        self.prompts = HybridPrompts(options, blocks, context.vision_width, context.embed_dim)
        self.rounded = context.text_view is not None and context.text_view.rounds_deep_prompts
        self._request = VisionRequest(tap_requests(context.taps, context.stage, name="prompted"))

    def request(self) -> VisionRequest:
        """Return the taps of the ordinary stream, in which the tokens take part."""
        return self._request

    def inject(self, prepass: Features | None) -> Injection:
        """Return the tokens [blocks, B, length, D] for the image features of the plain pass."""
        assert prepass is not None  # as needs_prepass says
        tokens: Tensor = self.prompts(prepass.image_feature)
        return Injection(tokens.half().to(tokens.dtype) if self.rounded else tokens)


class TextPrompts(nn.Module):
    """Replaces states of every sentence by tokens that differ per image, and any deep prompts it had.

    Attributes:
        prompts: The tokens.
    """

    def __init__(self, options: TextPromptOptions, context: BuildContext) -> None:
        """Draw the tokens.

        Raises:
            InputError: The text tower has a single block, so that no deep prompt has a place.
        """
        super().__init__()
        text = context.text
        blocks = min(options.deep_blocks.resolve(text.depth), text.depth - 1)
        if blocks < 1:
            raise InputError(
                f"deep prompts start at block {FIRST_BLOCK}, but the text tower has {text.depth}"
            )
        self.prompts = HybridPrompts(options, blocks, text.width, context.embed_dim)

    def forward(self, prompts: Prompts, features: Features) -> tuple[Prompts, Mapping[str, Tensor]]:
        """Return the prompts with deep tokens [B, 1, length, D] per block."""
        tokens: Tensor = self.prompts(features.plain_image_feature)
        deep = DeepPrompts(tuple(tokens[:, :, None].unbind()), FIRST_BLOCK, POSITION)
        return replace(prompts, deep=deep), {}
