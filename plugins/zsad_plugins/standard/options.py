"""Options of the standard parts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from zsad.plugin.options import Options
from zsad.recipe.profiles import Depth, DepthValue

Sentence = Annotated[str, Field(pattern=r"\S")]
"""A sentence of at least one word."""


class SelfAttentionOptions(Options):
    """Options of ``standard.self_attention``."""

    pairs: tuple[Literal["qq", "kk", "vv"], ...] = Field(("vv",), min_length=1)
    """Projections whose self-similarities are summed."""
    start: DepthValue = Depth(fraction="1/4")
    """First refined block."""


class TemplatesOptions(Options):
    """Options of ``standard.templates``."""

    words: str = "zsad_prompts:winclip.yaml"
    """Resource with ``normal`` and ``abnormal`` states and ``templates``; ``{}`` marks the object."""
    normalize_each: bool = True
    """Normalise every sentence's feature before the mean over a state's sentences."""
    normal_prompts: tuple[Sentence, ...] = ()
    """Own sentences for the normal state, instead of the states in templates."""
    abnormal_prompts: tuple[Sentence, ...] = ()
    """Own sentences for the abnormal state, instead of the states in templates."""


class CosineOptions(Options):
    """Options of ``standard.cosine``."""

    temperature: float = Field(0.01, gt=0)
    """Divisor of the cosines; CLIP's own logit scale of 100 is 0.01."""


class UpsampleOptions(Options):
    """Options of ``standard.upsample``."""

    mode: Literal["bilinear", "nearest"] = "bilinear"
    """Interpolation."""
    align_corners: bool = False
    """Whether corner tokens lie on corner pixels (bilinear only)."""


class FuseOptions(Options):
    """Options of ``standard.fuse``."""

    how: Literal["mean", "sum"] = "mean"
    """How the score sets of several taps are joined."""


class GaussianOptions(Options):
    """Options of ``standard.gaussian``."""

    sigma: float = Field(4.0, gt=0, le=1000)
    """Standard deviation in pixels."""


class TopMeanOptions(Options):
    """Options of ``standard.map_top_mean``."""

    fraction: float = Field(0.01, gt=0, le=1)
    """Share of the pixels, the largest, whose mean is the score; rounded up to a whole pixel."""


class TokenMemoryOptions(Options):
    """Options of ``standard.token_memory``."""

    space: Literal["raw", "ln_post", "joint"] | None = None
    """Only token sets of this space; ``null`` remembers all."""
    share: float = Field(1.0, gt=0, le=1)
    """Share of the tokens that is kept, chosen greedily so that none is far from a kept one; 1 keeps all."""


class DiceOptions(Options):
    """Options of the loss ``dice``."""

    states: Literal["both", "abnormal"] = "both"
    """Whether the normal map is compared with the inverse mask too."""
    rows: bool = False
    """Compare every row of pixels by itself, as published code does with one image per step: its masks then
    have lost the axis of the images."""


class ImageLossOptions(Options):
    """Options of the loss ``image``."""

    sharpness: float = Field(1.0, gt=0)
    """Temperature while scoring divided by the one while learning."""
