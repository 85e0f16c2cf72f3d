"""Options of AA-CLIP's parts and losses."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from zsad.plugin.options import Options
from zsad.recipe.profiles import Depth, DepthValue
from zsad_plugins.standard.options import TemplatesOptions


class BlockOptions(Options):
    """Options of ``aa-clip.blocks``."""

    blocks: DepthValue = Depth(fraction="1/4", at={24: 6})
    """How many vision blocks, from the first on, have an adapter."""
    weight: float = Field(0.1, ge=0, le=1)
    """Share of the adapter's output; the rest is the block's own."""
    attention: Literal["adapted", "vv", "vv_over_batch"] = "adapted"
    """The adapted tower; or, while the text side learns, the plain one with v-v attention from ``start`` on,
    whose output feeds on: over the tokens of an image, or over the images of a batch at each place, as the
    published code has it, which confuses two axes."""
    start: DepthValue = Depth(fraction="1/4", at={24: 6})
    """First block of v-v attention."""

    @property
    def over_batch(self) -> bool:
        """Whether an image's tokens depend on the other images of its batch."""
        return self.attention == "vv_over_batch"


class HeadOptions(Options):
    """Options of ``aa-clip.heads``."""

    project: bool = True
    """Project by the heads; or, while the text side learns, hand on joint tokens with the image feature of
    the plain pass added to each."""


class PromptOptions(TemplatesOptions):
    """Options of ``aa-clip.prompts``; the words are those of ``standard.templates``."""

    words: str = "zsad_prompts:aaclip.yaml"
    """Resource with ``normal`` and ``abnormal`` states and ``templates``; ``{}`` marks the object."""
    blocks: DepthValue = Depth(fraction="1/4", at={12: 3})
    """How many text blocks, from the first on, have an adapter."""
    weight: float = Field(0.1, ge=0, le=1)
    """Share of the adapter's output; the rest is the block's own."""


class ScorerOptions(Options):
    """Options of ``aa-clip.dot``."""

    temperature: float = Field(0.01, gt=0)
    """Divisor of the tokens' dot products."""


class BlurOptions(Options):
    """Options of ``aa-clip.grid_blur``."""

    size: int = Field(7, ge=1)
    """Side of the kernel in patches, odd."""
    sigma: float = Field(1.0, gt=0)
    """Standard deviation in patches."""

    @field_validator("size")
    @classmethod
    def _is_odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("a kernel around a patch has an odd number of patches per side")
        return value


class RangeOptions(Options):
    """Options of ``aa-clip.class_range``."""

    share: float = Field(0.5, ge=0, le=1)
    """Share of the map's maximum in the image score; the rest is the score that there was before."""


class MapLossOptions(Options):
    """Options of the loss ``aa-clip-maps``."""

    taps: Literal["all", "last"] = "all"
    """The sum over the taps, or the last one alone, as in the published first stage, whose loop overwrites
    the sum."""
