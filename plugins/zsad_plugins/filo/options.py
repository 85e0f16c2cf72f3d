"""Options of FiLo's parts. Defaults are what the published code does; slips have a clean value beside it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from zsad.data.phrases import PHRASES
from zsad.plugin.options import Options
from zsad.recipe.profiles import DepthValue

STATES = "zsad_prompts:filo/states.yaml"


class TapOptions(Options):
    """Options of ``filo.taps``."""

    start: DepthValue | None = None
    """First block with a local stream; by default the one behind the first tap (7 of 24, as published)."""
    aliased: bool = True
    """Read what the published code hands on by reference; false reads the states that the taps name."""


class HeadOptions(Options):
    """Options of ``filo.heads``."""

    image_adapter: bool = True
    """Adapt the image feature; the first stage of the published training leaves that out."""
    patches: bool = True
    """Project the patch tokens; the second stage of the published training needs the image feature alone."""
    largest_kernel: Literal[3, 5, 7] = 7
    """Side of MMCI's largest kernel in patches: 7 as published, on a grid of 37 x 37."""
    reduction: int = Field(2, ge=1)
    """By how much the image adapter's hidden layer is narrower than the joint space."""


class PromptOptions(Options):
    """Options of ``filo.prompts``."""

    context_tokens: int = Field(12, ge=1)
    """Learned tokens before the words."""
    states: str = STATES
    """Resource or file with state words and the names of the nine positions."""
    phrases: str = PHRASES
    """Resource or file (YAML or JSON) with phrases per object; unknown objects get the generic ones."""
    class_words: dict[str, str] = Field(default_factory=dict)
    """What prompts call an object, where that is not its noun."""
    joint_norm: bool = True
    """Divide the two text features by their joint norm, which makes each 1 / sqrt 2 long (a slip)."""


class ConditionerOptions(Options):
    """Options of ``filo.context``."""

    reduction: int = Field(16, ge=1)
    """By how much the hidden layer is narrower than the joint space."""
    detach: bool = False
    """Pass no gradient through the shift to the image feature: the published training takes the text as given
    while it learns the image adapter."""
    without_box: Literal["center", "all"] = "center"
    """Position words of an image without an accepted box: the centre's (published) or all."""
    cells: Literal["integer", "thirds"] = "integer"
    """``integer``: published, with gaps of a pixel in which a centre has no position; ``thirds``: without."""
    scores: Literal["cut", "full"] = "cut"
    """Best box by scores cut to four characters, of equal ones the last (published), or by full scores."""


class ScorerOptions(Options):
    """Options of ``filo.dot``."""

    temperature: float = Field(0.01, gt=0)
    """Divisor of the dot products."""
    image: Literal["dot", "softmax"] = "dot"
    """The image's own score: its dot product with the abnormal text (published code) or a softmax (paper)."""


class BlurOptions(Options):
    """Options of ``filo.blur``."""

    size: int = Field(3, ge=1, le=1001)
    """Side of the kernel in pixels, odd."""
    sigma: float = Field(4.0, gt=0, le=1000)
    """Standard deviation in pixels."""


class BoxFilterOptions(Options):
    """Options of ``filo.box_filter``."""

    outside: float = Field(0.7, ge=0)
    """Factor of the map outside the accepted boxes; without any it is outside everywhere."""
    edges: Literal["wrapped", "clipped"] = "wrapped"
    """A box over the left or top edge counts from the far end (published, a slip) or is cut at the edge."""


class RegionFilterOptions(Options):
    """Options of ``filo.region_filter``."""

    level: float = Field(0.5, gt=0, lt=1)
    """Regions lie above this share of the way from the map's lowest value to its highest."""
    largest: float = Field(0.7, gt=0)
    """Boxes count below this share of the image's area."""
    outside: float = Field(0.7, ge=0)
    """Factor of the map outside the boxes; without any it is outside everywhere."""


class DetectorOptions(Options):
    """Options of ``filo.grounding_dino``."""

    model: str = "IDEA-Research/grounding-dino-tiny"
    """Name on the hub, or a folder that transformers wrote."""
    states: str = STATES
    """Resource or file with the words that mark an anomaly of any object."""
    phrases: str = PHRASES
    """Resource or file (YAML or JSON) with phrases per object; the same as the prompt learner's."""
    threshold: float = Field(0.25, ge=0, le=1)
    """Score above which boxes are kept, and tokens belong to a box's phrase."""
    largest: float = Field(0.7, gt=0)
    """Boxes are kept below this share of the image's area."""
    match: Literal["substring", "words"] = "substring"
    """Accept a box if its phrase holds a word as letters in the same case (published), or as whole words."""
    short_side: int = Field(518, ge=32)
    """Shorter side of the detector's input in pixels."""
    long_side: int = Field(1333, ge=32)
    """Largest longer side of the detector's input in pixels."""
