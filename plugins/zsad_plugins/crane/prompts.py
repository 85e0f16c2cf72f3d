"""Crane's pair of prompts: AnomalyCLIP's, whose fixed words belong to the weights.

[V1]...[V12] object. / [W1]...[W12] damaged object., and deep tokens in place of states 1-4 from block 2 on.
"""

from __future__ import annotations

from zsad.parts import BuildContext
from zsad_plugins.anomalyclip.options import PromptOptions
from zsad_plugins.anomalyclip.prompts import ObjectAgnosticPrompts


class CranePrompts(ObjectAgnosticPrompts):
    """Object-agnostic prompts that are complete without the backbone's token embeddings.

    The published code reads its checkpoints strictly, buffers included: the embeddings of the fixed words are
    those of the file, also on a text tower that has others.

    Attributes:
        words: [2, L, D] up to the later end token; the places of the context are not read.
    """

    def __init__(self, options: PromptOptions, context: BuildContext) -> None:
        super().__init__(options, context)
        self.register_buffer("words", self.words, persistent=True)
