"""Prompts of the text tower: deep tokens in place of each sentence's first words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor, nn

from zsad.errors import InputError
from zsad.parts import BuildContext
from zsad.values import DeepPrompts, Features, Prompts
from zsad_plugins.adaclip.hybrid import HybridPrompts
from zsad_plugins.adaclip.options import TextPromptOptions

FIRST_BLOCK, POSITION = 2, 1
"""Deep prompts replace the states behind the start token, from the input of the second block on."""


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
