"""The prompts that images complete: [C]1-6 [S]1-6 [K]1-2 . with learned tokens, normal and abnormal."""

from __future__ import annotations

from zsad.parts import BuildContext
from zsad_plugins.anomalyclip.options import PromptOptions as ObjectAgnosticOptions
from zsad_plugins.anomalyclip.prompts import ObjectAgnosticPrompts
from zsad_plugins.cops.options import PromptOptions


class CompletablePrompts(ObjectAgnosticPrompts):
    """AnomalyCLIP's learned pair without words, whose learned tokens fall into context, state and class.

    Attributes:
        context: [2, context + state + class tokens, D], normal first.
        deep: [deep blocks, deep tokens, D].
        slots: Where the three runs stand; ``context`` is all of them, as for any learner.
    """

    def __init__(self, options: PromptOptions, context: BuildContext) -> None:
        state = 1 + options.context_tokens
        names = state + options.state_tokens
        end = names + options.class_tokens
        pair = ObjectAgnosticOptions(
            context_tokens=end - 1,
            deep_tokens=options.deep_tokens,
            deep_blocks=options.deep_blocks,
            normal=".",
            abnormal=".",
        )
        super().__init__(pair, context)
        self.slots = {"context": slice(1, end), "state": slice(state, names), "class": slice(names, end)}
