"""Object-agnostic prompts: [V1]...[V12] object. / [W1]...[W12] damaged object. (paper, section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zsad.parts import BuildContext
from zsad.prompts import DeepPrompts, Prompts
from zsad.values import ABNORMAL, NORMAL
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

    def __init__(self, options: PromptOptions, context: BuildContext) -> None:
        super().__init__()
        text = context.text
        blocks = min(options.deep_blocks.resolve(text.depth), text.depth - 1)
        tokens = torch.randn(2, options.context_tokens, text.width)
        self.context = nn.Parameter(tokens * INITIAL_DEVIATION)
        self.deep = nn.Parameter(torch.randn(blocks, options.deep_tokens, text.width) * INITIAL_DEVIATION)
        words = text.sentences([options.normal, options.abnormal], slots=options.context_tokens)
        self.slots = {"context": words.slots}
        self.register_buffer("words", words.embeddings, persistent=False)
        self.register_buffer("end", words.end, persistent=False)
        self.words: Tensor
        self.end: Tensor

    def forward(self, class_name: str) -> Prompts:
        """Return the two prompts; the class noun plays no part."""
        before, behind = self.words[:, :1], self.words[:, 1 + self.context.shape[1] :]
        return Prompts(
            torch.cat([before, self.context.to(self.words.dtype), behind], dim=1),
            self.end,
            torch.tensor([NORMAL, ABNORMAL], device=self.end.device),
            deep=DeepPrompts(tuple(self.deep.unbind())),
            slots=self.slots,
        )
