"""Options of AnomalyCLIP's prompt learner."""

from __future__ import annotations

from pydantic import Field

from zsad.plugin.options import Options
from zsad.recipe.profiles import Depth, DepthValue


class PromptOptions(Options):
    """Options of ``anomalyclip.prompts`` (section 3.2 of the paper)."""

    context_tokens: int = Field(12, ge=1)
    """Learned tokens before the words."""
    deep_tokens: int = Field(4, ge=1)
    """Learned tokens that replace the first context tokens at the input of deep blocks."""
    deep_blocks: DepthValue = Depth(fraction="2/3", at={12: 8})
    """How many text blocks, from the second on, get deep prompts."""
    normal: str = "object."
    """Words of the normal prompt."""
    abnormal: str = "damaged object."
    """Words of the abnormal prompt."""
