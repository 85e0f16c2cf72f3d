"""FiLo: fine-grained descriptions with positions, and heads on two streams (Gu et al., ACM MM 2024)."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import PartSpec, RecipeSpec

zsad_api = 1


@hookimpl
def zsad_parts() -> Iterator[PartSpec]:
    """Yield the parts in the order of the data flow."""
    # fmt: off
    yield PartSpec("filo.grounding_dino", "auxiliary", ".detector:GroundingDino",
                   "boxes of anomalies by Grounding DINO, asked for general words and those of the object",
                   options=".options:DetectorOptions", provides={"auxiliary:filo.boxes"})
    yield PartSpec("filo.no_boxes", "auxiliary", ".boxes:NoBoxes",
                   "no boxes: stands for the detector where there is none", provides={"auxiliary:filo.boxes"})
    yield PartSpec("filo.taps", "attention_refiner", ".taps:taps",
                   "taps of the ordinary and of a v-v stream, aliased as in the published code",
                   options=".options:TapOptions", requires={"streams"},
                   provides={"patch_tokens", "filo.streams"})
    yield PartSpec("filo.heads", "feature_adapter", ".heads:Heads",
                   "a linear head per ordinary tap, a 7 x 7 convolution per local one, and an image adapter",
                   options=".options:HeadOptions", requires={"tokens:raw", "cls_token", "filo.streams"},
                   provides={"tokens:joint"}, learnable=True)
    yield PartSpec("filo.prompts", "prompt_learner", ".prompts:DescribedPrompts",
                   "learned context before fine-grained descriptions of an object at nine positions",
                   options=".options:PromptOptions", provides={"text_features", "filo.positions"},
                   learnable=True)
    yield PartSpec("filo.context", "prompt_conditioner", ".conditioner:ShiftedContext",
                   "context shifted by the image feature, and the prompts of the best box's position",
                   options=".options:ConditionerOptions",
                   requires={"filo.positions", "cls_token", "auxiliary:filo.boxes"}, learnable=True)
    yield PartSpec("filo.dot", "scorer", ".scorer:DotScorer",
                   "dot product of every joint token, and of the image feature, with the text features",
                   options=".options:ScorerOptions", requires={"tokens:joint", "text_features", "cls_token"},
                   provides={"scores:logits", "image_score"})
    yield PartSpec("filo.blur", "post_processors", ".post_processors:Blur",
                   "Gaussian smoothing of the anomaly map by a small kernel",
                   options=".options:BlurOptions", requires={"anomaly_map"})
    yield PartSpec("filo.image_score", "post_processors", ".post_processors:ImageScore",
                   "the image score becomes its mean with the maximum of the anomaly map",
                   requires={"anomaly_map", "image_score"}, provides={"image_score"})
    yield PartSpec("filo.box_filter", "post_processors", ".post_processors:BoxFilter",
                   "the anomaly map outside the boxes is damped",
                   options=".options:BoxFilterOptions", requires={"anomaly_map", "auxiliary:filo.boxes"})
    yield PartSpec("filo.region_filter", "post_processors", ".regions:RegionFilter",
                   "the anomaly map outside the boxes around its own high regions is damped",
                   options=".options:RegionFilterOptions", requires={"anomaly_map"})
    # fmt: on


@hookimpl
def zsad_recipes() -> Iterator[RecipeSpec]:
    """Yield the method without a detector, which runs anywhere, and the published one."""
    yield RecipeSpec("filo", ":recipe.yaml", ".convert:convert")
    yield RecipeSpec("filo@dino", ":dino.yaml", ".convert:convert")
