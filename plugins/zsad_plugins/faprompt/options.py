"""Options of FAPrompt's parts and losses."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from zsad.plugin.options import Options
from zsad.recipe.profiles import Depth, DepthValue


class PromptOptions(Options):
    """Options of ``faprompt.prompts``."""

    context_tokens: int = Field(5, ge=1)
    """Learned tokens that all prompts begin with, the normal one too."""
    abnormal_tokens: int = Field(2, ge=1)
    """Learned tokens behind them of each abnormal prompt's own."""
    abnormal_prompts: int = Field(10, ge=1)
    """Abnormal prompts."""
    deep_tokens: int = Field(4, ge=1)
    """Learned tokens that replace the first context tokens at the input of deep blocks."""
    deep_blocks: DepthValue = Depth(fraction="2/3", at={12: 8})
    """How many text blocks, from the second on, get deep prompts."""
    normal: str = "object."
    """Words of the normal prompt."""
    abnormal: str = "damaged object."
    """Words of the abnormal prompts."""


class PriorOptions(Options):
    """Options of ``faprompt.prior``."""

    patches: Literal["highest", "first"] = "highest"
    """The patches that the unshifted prompts find most anomalous, the most anomalous first; or the first ones
    of the grid, in every image, as the published code has it, which does not use what it has sorted."""
    count: int = Field(10, ge=1)
    """How many patches."""


class ScorerOptions(Options):
    """Options of ``faprompt.two_looks``."""

    temperature: float = Field(0.07, gt=0)
    """Divisor of the cosines."""


class ImageLossOptions(Options):
    """Options of the loss ``faprompt-image``."""

    temperature: float = Field(0.07, gt=0)
    """Divisor of the cosines."""


class ScoreLossOptions(Options):
    """Options of the loss ``faprompt-score``."""

    second_sigmoid: bool = False
    """Take the score, a probability, for a logit, as the published code does."""
