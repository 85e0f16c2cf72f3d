"""FG-Des: learned context before fine-grained descriptions at each position (paper, section 3.2)."""

from __future__ import annotations

import torch
from torch import nn

from zsad.data.phrases import read_phrases
from zsad.parts import BuildContext
from zsad.prompts import Prompts, Reduction
from zsad.values import ABNORMAL, NORMAL
from zsad_plugins.filo.options import PromptOptions
from zsad_plugins.filo.words import read_states

INITIAL_DEVIATION = 0.02
"""Standard deviation of a freshly drawn context, as in the published code."""


class DescribedPrompts(nn.Module):
    """[V1]...[V12] STATE. and [W1]...[W12] STATE at POSITION., states by states of nine positions each.

    Attributes:
        context: [2, context tokens, D], normal first.
    """

    class_agnostic = False

    def __init__(self, options: PromptOptions, context: BuildContext) -> None:
        super().__init__()
        self.options, self.text = options, context.text
        self.words = {name.casefold(): word for name, word in options.class_words.items()}
        self.states, self.phrases = read_states(options.states), read_phrases(options.phrases)
        tokens = torch.randn(2, options.context_tokens, self.text.width)
        self.context = nn.Parameter(tokens * INITIAL_DEVIATION)

    def sentences(self, class_name: str) -> tuple[list[str], list[str]]:
        """Return the normal and the abnormal sentences about an object, without context."""
        name = " ".join(class_name.replace("_", " ").split())
        word = self.words.get(name.casefold(), name)
        return self.states.sentences(word, self.phrases.of(name, word))

    def forward(self, class_name: str) -> Prompts:
        """Return the prompts of a class, normal ones first."""
        normal, abnormal = self.sentences(class_name)
        words = self.text.sentences([*normal, *abnormal], slots=self.options.context_tokens)
        state = torch.tensor([NORMAL] * len(normal) + [ABNORMAL] * len(abnormal), device=words.end.device)
        context = self.context.to(words.embeddings.dtype)[state]
        before, behind = words.embeddings[:, :1], words.embeddings[:, words.slots.stop :]
        return Prompts(
            torch.cat([before, context, behind], dim=1),
            words.end,
            state,
            reduction=Reduction(joint_norm=self.options.joint_norm),
            slots={"context": words.slots},
        )
