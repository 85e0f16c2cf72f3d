"""Object-agnostic prompts: [V1]...[V12] object. / [W1]...[W12] damaged object. (paper, section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zsad.backbones.text import TextTower
from zsad.parts import BuildContext
from zsad.values import ABNORMAL, NORMAL, DeepPrompts, Prompts
from zsad_plugins.anomalyclip.options import PromptOptions

INITIAL_DEVIATION = 0.02
"""Standard deviation of freshly drawn context and deep tokens, as in the published code."""


class ObjectAgnosticPrompts(nn.Module):
    """Learned context of a normal and an abnormal prompt, with deep prompts common to both.

    Attributes:
        context: [2, context tokens, D], normal first.
        deep: [deep blocks, deep tokens, D].
    """

    class_agnostic = True

    def __init__(self, options: PromptOptions, text: TextTower) -> None:
        super().__init__()
        blocks = min(options.deep_blocks.resolve(text.depth), text.depth - 1)
        context = torch.randn(2, options.context_tokens, text.width)
        deep = torch.randn(blocks, options.deep_tokens, text.width)
        self.context = nn.Parameter(context * INITIAL_DEVIATION)
        self.deep = nn.Parameter(deep * INITIAL_DEVIATION)
        placeholders = "X " * options.context_tokens
        ids = text.tokenize([placeholders + options.normal, placeholders + options.abnormal])
        words = text.embed(ids).detach()
        self.register_buffer("words", words, persistent=False)
        self.register_buffer("end", text.end_positions(ids), persistent=False)
        self.words: Tensor
        self.end: Tensor

    def forward(self, class_name: str) -> Prompts:
        """Return the two prompts; the class noun plays no part."""
        after = 1 + self.context.shape[1]
        context = self.context.to(self.words.dtype)
        embeddings = torch.cat([self.words[:, :1], context, self.words[:, after:]], dim=1)
        return Prompts(
            embeddings,
            self.end,
            torch.tensor([NORMAL, ABNORMAL], device=self.end.device),
            deep=DeepPrompts(tuple(self.deep.unbind())),
            slots={"context": slice(1, after)},
        )


def build(options: PromptOptions, context: BuildContext) -> ObjectAgnosticPrompts:
    """Build the prompts for the backbone's text tower."""
    assert context.text is not None  # 'text' is required
    return ObjectAgnosticPrompts(options, context.text)
