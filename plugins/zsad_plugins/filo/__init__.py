"""FiLo: fine-grained descriptions with positions, and heads on two streams (Gu et al., ACM MM 2024)."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import PartSpec, RecipeSpec

zsad_api = 1

_HERE = "zsad_plugins.filo"
_OPTIONS = f"{_HERE}.options"
_BOXES = frozenset({"auxiliary:filo.boxes"})
_CONVERTER = f"{_HERE}.convert:convert"


@hookimpl
def zsad_parts() -> Iterator[PartSpec]:
    """Yield the parts in the order of the data flow."""
    yield PartSpec(
        name="filo.grounding_dino",
        kind="auxiliary",
        factory=f"{_HERE}.detector:build",
        summary="boxes of anomalies by Grounding DINO, asked for general words and those of the object",
        options=f"{_OPTIONS}:DetectorOptions",
        provides=_BOXES,
    )
    yield PartSpec(
        name="filo.no_boxes",
        kind="auxiliary",
        factory=f"{_HERE}.boxes:build_no_boxes",
        summary="no boxes: stands for the detector where there is none",
        provides=_BOXES,
    )
    yield PartSpec(
        name="filo.taps",
        kind="attention_refiner",
        factory=f"{_HERE}.taps:build",
        summary="taps of the ordinary and of a v-v stream, aliased as in the published code",
        options=f"{_OPTIONS}:TapOptions",
        provides=frozenset({"patch_tokens", "filo.streams"}),
    )
    yield PartSpec(
        name="filo.heads",
        kind="feature_adapter",
        factory=f"{_HERE}.heads:build",
        summary="a linear head per ordinary tap, a 7 x 7 convolution per local one, and an image adapter",
        options=f"{_OPTIONS}:HeadOptions",
        requires=frozenset({"tokens:raw", "cls_token", "filo.streams"}),
        provides=frozenset({"tokens:joint"}),
        learnable=True,
    )
    yield PartSpec(
        name="filo.prompts",
        kind="prompt_learner",
        factory=f"{_HERE}.prompts:build",
        summary="learned context before fine-grained descriptions of an object at nine positions",
        options=f"{_OPTIONS}:PromptOptions",
        requires=frozenset({"text"}),
        provides=frozenset({"text_features", "filo.positions"}),
        learnable=True,
    )
    yield PartSpec(
        name="filo.context",
        kind="prompt_conditioner",
        factory=f"{_HERE}.conditioner:build",
        summary="context shifted by the image feature, and the prompts of the best box's position",
        options=f"{_OPTIONS}:ConditionerOptions",
        requires=frozenset({"text_features", "filo.positions", "cls_token"}) | _BOXES,
        learnable=True,
    )
    yield PartSpec(
        name="filo.dot",
        kind="scorer",
        factory=f"{_HERE}.scorer:build",
        summary="dot product of every joint token, and of the image feature, with the text features",
        options=f"{_OPTIONS}:ScorerOptions",
        requires=frozenset({"tokens:joint", "text_features", "cls_token"}),
        provides=frozenset({"scores:logits", "image_score"}),
    )
    yield PartSpec(
        name="filo.blur",
        kind="post_processors",
        factory=f"{_HERE}.post_processors:build_blur",
        summary="Gaussian smoothing of the anomaly map by a small kernel",
        options=f"{_OPTIONS}:BlurOptions",
        requires=frozenset({"anomaly_map"}),
    )
    yield PartSpec(
        name="filo.image_score",
        kind="post_processors",
        factory=f"{_HERE}.post_processors:build_image_score",
        summary="the image score becomes its mean with the maximum of the anomaly map",
        requires=frozenset({"anomaly_map", "image_score"}),
        provides=frozenset({"image_score"}),
    )
    yield PartSpec(
        name="filo.box_filter",
        kind="post_processors",
        factory=f"{_HERE}.post_processors:build_box_filter",
        summary="the anomaly map outside the boxes is damped",
        options=f"{_OPTIONS}:BoxFilterOptions",
        requires=frozenset({"anomaly_map"}) | _BOXES,
    )
    yield PartSpec(
        name="filo.region_filter",
        kind="post_processors",
        factory=f"{_HERE}.regions:build",
        summary="the anomaly map outside the boxes around its own high regions is damped",
        options=f"{_OPTIONS}:RegionFilterOptions",
        requires=frozenset({"anomaly_map"}),
    )


@hookimpl
def zsad_recipes() -> Iterator[RecipeSpec]:
    """Yield the method without a detector, which runs anywhere, and the published one."""
    yield RecipeSpec("filo", f"{_HERE}:recipe.yaml", converter=_CONVERTER)
    yield RecipeSpec("filo@dino", f"{_HERE}:dino.yaml", converter=_CONVERTER)
