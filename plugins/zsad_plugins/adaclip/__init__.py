"""AdaCLIP: static and dynamic prompts in both towers, and hybrid semantic fusion (Cao et al., ECCV 2024)."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import PartSpec, RecipeSpec

zsad_api = 1

_OPTIONS = "zsad_plugins.adaclip.options"


@hookimpl
def zsad_parts() -> Iterator[PartSpec]:
    """Yield the prompts of both towers, the projections and the fusion."""
    yield PartSpec(
        name="adaclip.visual_prompts",
        kind="attention_refiner",
        factory="zsad_plugins.adaclip.visual_prompts:build",
        summary="learned tokens behind the patches, shifted by the image feature of a pass without them",
        options=f"{_OPTIONS}:VisualPromptOptions",
        requires=frozenset({"cls_token"}),
        provides=frozenset({"patch_tokens"}),
        learnable=True,
    )
    yield PartSpec(
        name="adaclip.projections",
        kind="feature_adapter",
        factory="zsad_plugins.adaclip.projections:build",
        summary="a learned linear layer per tap and one for the image feature, to the joint space",
        requires=frozenset({"tokens:raw", "cls_token"}),
        provides=frozenset({"tokens:joint"}),
        learnable=True,
    )
    yield PartSpec(
        name="adaclip.text_prompts",
        kind="prompt_conditioner",
        factory="zsad_plugins.adaclip.text_prompts:build",
        summary="deep text prompts, shifted by each image's own feature",
        options=f"{_OPTIONS}:TextPromptOptions",
        requires=frozenset({"text_features", "cls_token"}),
        learnable=True,
    )
    yield PartSpec(
        name="adaclip.semantic_fusion",
        kind="scorer",
        factory="zsad_plugins.adaclip.fusion:build",
        summary="cosine scores; the image feature takes in cluster centres of the most anomalous patches",
        options=f"{_OPTIONS}:FusionOptions",
        requires=frozenset({"tokens:joint", "text_features", "cls_token"}),
        provides=frozenset({"scores:logits", "image_score"}),
    )
    yield PartSpec(
        name="adaclip.mean_logits",
        kind="post_processors",
        factory="zsad_plugins.adaclip.fusion:build_mean_logits",
        summary="the mean of all taps' logits, before any softmax",
        requires=frozenset({"scores:logits"}),
        provides=frozenset({"scores:logits"}),
    )


@hookimpl
def zsad_recipes() -> Iterator[RecipeSpec]:
    """Yield the published method."""
    yield RecipeSpec(
        "adaclip", "zsad_plugins.adaclip:recipe.yaml", converter="zsad_plugins.adaclip.convert:convert"
    )
