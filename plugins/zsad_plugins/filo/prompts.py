"""FG-Des: learned context before fine-grained descriptions at each position (paper, section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zsad.backbones.text import TextTower
from zsad.parts import BuildContext
from zsad.values import ABNORMAL, NORMAL, Prompts, Reduction
from zsad_plugins.filo.options import PromptOptions
from zsad_plugins.filo.words import read_phrases, read_states

INITIAL_DEVIATION = 0.02
"""Standard deviation of a freshly drawn context, as in the published code."""


class DescribedPrompts(nn.Module):
    """[V1]...[V12] STATE. and [W1]...[W12] STATE at POSITION., states by states of nine positions each.

    Attributes:
        context: [2, context tokens, D], normal first.
    """

    class_agnostic = False

    def __init__(self, options: PromptOptions, text: TextTower) -> None:
        super().__init__()
        self.options = options
        self.words = {name.casefold(): word for name, word in options.class_words.items()}
        self.states, self.phrases = read_states(options.states), read_phrases(options.phrases)
        object.__setattr__(self, "text", text)  # not a submodule: its weights are not the part's
        self.text: TextTower
        self._ids: dict[str, tuple[Tensor, Tensor]] = {}  # tokenizing takes longer than a small tower
        context = torch.randn(2, options.context_tokens, text.width)
        self.context = nn.Parameter(context * INITIAL_DEVIATION)

    def sentences(self, class_name: str) -> tuple[list[str], list[str]]:
        """Return the normal and the abnormal sentences about an object, without context."""
        name = " ".join(class_name.replace("_", " ").split())
        word = self.words.get(name.casefold(), name)
        return self.states.sentences(word, self.phrases.of(name, word))

    def token_ids(self, class_name: str) -> tuple[Tensor, Tensor]:
        """Return the token ids of the normal and the abnormal prompts, each [n, context length]."""
        if class_name not in self._ids:
            slots = "X " * self.context.shape[1]
            normal, abnormal = (
                self.text.tokenize([slots + sentence for sentence in sentences])
                for sentences in self.sentences(class_name)
            )
            self._ids[class_name] = normal, abnormal
        return self._ids[class_name]

    def forward(self, class_name: str) -> Prompts:
        """Return the prompts of a class, cut behind the longest one where that changes nothing."""
        normal, abnormal = self.token_ids(class_name)
        ids = torch.cat([normal, abnormal])
        state = torch.tensor([NORMAL] * len(normal) + [ABNORMAL] * len(abnormal), device=ids.device)
        end = self.text.end_positions(ids)
        words = self.text.embed(ids[:, : int(end.max()) + 1])
        after = 1 + self.context.shape[1]
        context = self.context.to(words.dtype)[state]
        return Prompts(
            torch.cat([words[:, :1], context, words[:, after:]], dim=1),
            end,
            state,
            reduction=Reduction(joint_norm=self.options.joint_norm),
            slots={"context": slice(1, after)},
        )


def build(options: PromptOptions, context: BuildContext) -> DescribedPrompts:
    """Build the prompts for the backbone's text tower."""
    assert context.text is not None  # 'text' is required
    return DescribedPrompts(options, context.text)
