"""Compound abnormality prompts: [V1]...[V5] object. and, ten times, [V1]...[V5][A1][A2] damaged object."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zsad.parts import BuildContext
from zsad.prompts import DeepPrompts, Prompts, Reduction
from zsad.values import ABNORMAL, NORMAL
from zsad_plugins.faprompt.options import PromptOptions

INITIAL_DEVIATION = 0.02
"""Standard deviation of freshly drawn tokens, as in the published code."""


class CompoundPrompts(nn.Module):
    """Prompts that differ in what they call abnormal and agree in what they call normal.

    Attributes:
        context: V, [context tokens, D], of every prompt.
        abnormal: A, [abnormal prompts, abnormal tokens, D].
        deep: [deep blocks, deep tokens, D], of every prompt.
    """

    class_agnostic = True

    def __init__(self, options: PromptOptions, context: BuildContext) -> None:
        super().__init__()
        text = context.text
        blocks = min(options.deep_blocks.resolve(text.depth), text.depth - 1)
        common, own = options.context_tokens, options.abnormal_tokens
        self.context = _drawn(common, text.width)
        self.abnormal = _drawn(options.abnormal_prompts, own, text.width)
        self.deep = _drawn(blocks, options.deep_tokens, text.width)
        normal = text.sentences([options.normal], slots=common)
        abnormal = text.sentences([options.abnormal], slots=common + own)
        # Causal attention does not see what stands behind the end of a sentence.
        length = max(normal.embeddings.shape[1], abnormal.embeddings.shape[1])
        words = [
            F.pad(found.embeddings, (0, 0, 0, length - found.embeddings.shape[1]))
            for found in (normal, abnormal)
        ]
        self.slots = {"context": slice(1, 1 + common), "abnormal": slice(1 + common, 1 + common + own)}
        self.register_buffer("words", torch.cat(words), persistent=False)
        self.register_buffer("end", torch.cat([normal.end, abnormal.end]), persistent=False)
        self.words: Tensor
        self.end: Tensor

    def forward(self, class_name: str) -> Prompts:
        """Return the prompts, the normal one first; the class noun plays no part."""
        count, dtype = len(self.abnormal), self.words.dtype
        state = torch.tensor([NORMAL] + [ABNORMAL] * count, device=self.end.device)
        words = self.words[state]
        context = self.context.to(dtype).expand(1 + count, -1, -1)
        behind = self.slots["abnormal"]
        normal = self.words[:1, behind]
        own = torch.cat([normal, self.abnormal.to(dtype)])
        return Prompts(
            torch.cat([words[:, :1], context, own, words[:, behind.stop :]], dim=1),
            self.end[state],
            state,
            deep=DeepPrompts(tuple(self.deep.unbind())),
            reduction=Reduction(normalize_each=False),
            slots=self.slots,
        )


def _drawn(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(*shape) * INITIAL_DEVIATION)
