"""Options of CoPS's parts."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from zsad.plugin.options import Options
from zsad.recipe.profiles import Depth, DepthValue

TrainingSet = Literal["visa", "mvtec"]

Extent = Literal["image", "batch"]

TUNED: dict[str, dict[str, float]] = {
    "visa": {"kernel": 5, "alpha": 0.26, "beta": 0.9},
    "mvtec": {"kernel": 3, "alpha": 0.35, "beta": 1.0},
}
"""What the official code tunes, by the training set of the weights. It switches by the test set's name
instead; in its protocol (VisA-trained for everything but VisA, MVTec-trained for VisA) that is the same."""


class Tuned(Options):
    """Options whose defaults go with the training set of the weights."""

    trained_on: TrainingSet = "visa"
    """Training set of the weights: sets the kernel (5 or 3), alpha (0.26 or 0.35) and beta (0.9 or 1)."""

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, given: Any) -> Any:
        # Filled in before validation, so that a resolved recipe holds the numbers themselves.
        if not isinstance(given, dict):
            return given
        values = TUNED.get(str(given.get("trained_on", "visa")), {})
        return {key: value for key, value in values.items() if key in cls.model_fields} | given


class PoolingOptions(Tuned):
    """Options of ``cops.pooling``."""

    kernel: int = Field(5, ge=1)
    """Side of the averaged neighbourhood in patches, an odd number."""
    border: Literal["zeros", "inside"] = "zeros"
    """Whether zeros beyond the grid take part in the mean (official), or only patches inside it."""

    @field_validator("kernel")
    @classmethod
    def _is_odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("a neighbourhood around a patch has an odd number of patches per side")
        return value


class PromptOptions(Options):
    """Options of ``cops.prompts``."""

    context_tokens: int = Field(6, ge=0)
    """Learned tokens that no image changes; they come first."""
    state_tokens: int = Field(6, ge=1)
    """Learned tokens behind them, to which prototypes are added."""
    class_tokens: int = Field(2, ge=1)
    """Learned tokens behind those, to which decoded noise is added."""
    deep_tokens: int = Field(4, ge=1)
    """Learned tokens that replace the first ones at the input of deep blocks."""
    deep_blocks: DepthValue = Depth(fraction="2/3", at={12: 8})
    """How many text blocks, from the second on, get deep prompts."""


class SynthesisOptions(Options):
    """Options of ``cops.synthesis``."""

    prototypes: int = Field(6, ge=1)
    """Prototypes per state."""
    class_tokens: int = Field(2, ge=1)
    """Class tokens at the end of the slot ``context``, where a learner names no slot ``class``."""
    samples: int = Field(10, ge=1)
    """Draws of the class bias; every prompt is encoded once with each."""
    noise_seed: int = 0
    """Seed of the draws, which are the same for every image (the official code draws anew)."""
    heads: int = Field(12, ge=1)
    """Heads of the extractor; where they do not divide the joint channels, the next smaller number does."""
    swap: bool = True
    """The normal prompt gets the abnormal prototypes and the other way round, as in the official code."""
    detach: bool = True
    """Prompts pass no gradient on to the prototypes, which then learn from the scorer's distances alone."""


class ScorerOptions(Tuned):
    """Options of ``cops.scorer``."""

    temperature: float = Field(0.07, gt=0)
    """Divisor of the cosines."""
    alpha: float = Field(0.26, ge=0, le=1)
    """Share of the distance to the normal prototypes in a patch's weight."""
    beta: float = Field(0.9, ge=0, le=1)
    """Share of the image feature in the image score; the rest is the largest patch score."""
    epsilon: float = Field(1e-8, ge=0)
    """Least range in the min-max of distances; 0 is official and makes equal distances not a number."""
    extent: Extent = "image"
    """Whether the min-max looks at each image, or at the whole batch (official)."""
    rescaling: Literal["once", "every_tap"] = "once"
    """With several taps: distances are rescaled once, or again at every tap, which turns the abnormal ones
    round each time (official)."""
    peak: Literal["last_tap", "tap_mean"] = "last_tap"
    """With several taps: whether the image score takes the largest patch score of the last one (official)
    or of their mean."""

    @property
    def over_batch(self) -> bool:
        """Whether a result depends on the other images of its batch."""
        return self.extent == "batch"


class ReconstructionOptions(Options):
    """Options of the loss ``cops-reconstruction``."""

    pairs: Literal["all", "own"] = "all"
    """Compare an image feature with every bias of the batch, as the shapes of the official code have it, or
    with its own."""
