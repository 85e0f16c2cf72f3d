"""Options of AdaCLIP's parts."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from zsad.plugin.options import Options
from zsad.recipe.profiles import Depth, DepthValue


class PromptOptions(Options):
    """What the prompts of both towers have in common."""

    length: int = Field(5, ge=1)
    """Tokens in a block."""
    static: bool = True
    """Learned tokens of each block, the same for every image."""
    dynamic: bool = True
    """Tokens that follow from the image feature of the pass without prompts, the same in every block."""

    @model_validator(mode="after")
    def _is_something(self) -> Self:
        if not (self.static or self.dynamic):
            raise ValueError("prompts are static, dynamic, or both; to leave them out, leave out the part")
        return self


class VisualPromptOptions(PromptOptions):
    """Options of ``adaclip.visual_prompts``."""

    blocks: DepthValue = Depth(fraction="1/6", at={24: 4})
    """How many vision blocks, from the first on, get tokens of their own; later ones keep the last."""


class TextPromptOptions(PromptOptions):
    """Options of ``adaclip.text_prompts``."""

    deep_blocks: DepthValue = Depth(fraction="1/4", at={12: 3})
    """How many text blocks, from the second on, get deep prompts."""


class FusionOptions(Options):
    """Options of ``adaclip.semantic_fusion``."""

    temperature: float = Field(0.01, gt=0)
    """Divisor of the cosines."""
    clusters: int = Field(20, ge=1)
    """Clusters of the most anomalous patches."""
    patches_per_cluster: int = Field(5, ge=1)
    """So many times ``clusters`` patches are clustered, or all where there are fewer."""
    weight: float = Field(0.2, ge=0, le=1)
    """Share of the clusters in the image feature."""
