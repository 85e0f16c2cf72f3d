"""State prompts: [V1]...[V12][start] without defect. / with defect. (paper, section on state prompts)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zsad.errors import InputError
from zsad.parts import BuildContext
from zsad.prompts import Prompts
from zsad.values import ABNORMAL, NORMAL
from zsad_plugins.af_clip.options import PromptOptions

INITIAL_DEVIATION = 0.01
"""Standard deviation of freshly drawn vectors, as in the published code."""


class StatePrompts(nn.Module):
    """Two sentences behind one run of learned vectors, which stand before the start token.

    Attributes:
        context: [tokens, D], common to both states.
        sentences: Of the normal and the abnormal state.
    """

    class_agnostic = True

    def __init__(self, options: PromptOptions, context: BuildContext) -> None:
        """Draw the vectors and embed the sentences.

        Raises:
            InputError: The sentences leave no room for the vectors in the text tower.
        """
        super().__init__()
        text = context.text
        self.sentences = (options.normal, options.abnormal)
        words = text.sentences(self.sentences)
        length = options.tokens + words.embeddings.shape[1]
        if length > text.context_length:
            raise InputError(
                f"{options.tokens} learned vectors and the sentences take {length} places, and the text "
                f"tower has {text.context_length}; set prompt_learner.tokens lower"
            )
        self.context = nn.Parameter(torch.randn(options.tokens, text.width) * INITIAL_DEVIATION)
        self.register_buffer("words", words.embeddings, persistent=False)
        self.register_buffer("end", words.end + options.tokens, persistent=False)
        self.words: Tensor
        self.end: Tensor

    def forward(self, class_name: str) -> Prompts:
        """Return the two prompts; the class noun plays no part."""
        vectors = self.context.to(self.words.dtype).expand(2, -1, -1)
        return Prompts(
            torch.cat([vectors, self.words], dim=1),
            self.end,
            torch.tensor([NORMAL, ABNORMAL], device=self.end.device),
            slots={"context": slice(0, self.context.shape[0])},
        )
