"""AdaCLIP: static and dynamic prompts in both towers, and hybrid semantic fusion (Cao et al., ECCV 2024)."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import PartSpec, RecipeSpec

zsad_api = 1


@hookimpl
def zsad_parts() -> Iterator[PartSpec]:
    """Yield the prompts of both towers, the projections and the fusion."""
    # fmt: off
    yield PartSpec("adaclip.visual_prompts", "attention_refiner", ".hybrid:VisualPrompts",
                   "learned tokens behind the patches, shifted by the image feature of a pass without them",
                   options=".options:VisualPromptOptions", requires={"cls_token", "streams"},
                   learnable=True)
    yield PartSpec("adaclip.projections", "feature_adapter", ".projections:Projections",
                   "a learned linear layer per tap and one for the image feature, to the joint space",
                   requires={"tokens:raw", "cls_token"}, provides={"tokens:joint"}, learnable=True)
    yield PartSpec("adaclip.text_prompts", "prompt_conditioner", ".hybrid:TextPrompts",
                   "deep text prompts, shifted by each image's own feature",
                   options=".options:TextPromptOptions", requires={"cls_token"}, learnable=True)
    yield PartSpec("adaclip.semantic_fusion", "scorer", ".fusion:SemanticFusion",
                   "cosine scores; the image feature takes in cluster centres of the most anomalous patches",
                   options=".options:FusionOptions", requires={"tokens:joint", "text_features", "cls_token"},
                   provides={"scores:logits", "image_score"})
    yield PartSpec("adaclip.mean_logits", "post_processors", ".fusion:MeanLogits",
                   "the mean of all taps' logits, before any softmax",
                   requires={"scores:logits"}, provides={"scores:logits"})
    # fmt: on


@hookimpl
def zsad_recipes() -> Iterator[RecipeSpec]:
    """Yield the published method."""
    yield RecipeSpec("adaclip", ":recipe.yaml", ".convert:convert")
