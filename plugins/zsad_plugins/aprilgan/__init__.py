"""APRIL-GAN (VAND 2023): one linear head per tap against state words in templates (Chen et al., 2023)."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import PartSpec, RecipeSpec

zsad_api = 1


@hookimpl
def zsad_parts() -> Iterator[PartSpec]:
    """Yield the linear heads, and what references add."""
    # fmt: off
    yield PartSpec("aprilgan.linear_heads", "feature_adapter", ".heads:LinearHeads",
                   "a learned linear layer per tap, from raw patch tokens to the joint space",
                   options=".options:HeadOptions", requires={"tokens:raw"}, provides={"tokens:joint"},
                   learnable=True)
    yield PartSpec("aprilgan.few_shot", "scorer", ".few_shot:FewShotScorer",
                   "cosine of projected tokens with the text features, and distance of raw ones to a memory",
                   options="zsad_plugins.standard.options:CosineOptions",
                   requires={"tokens:joint", "text_features", "memory"},
                   provides={"scores:logits", "scores:anomaly", "image_score"})
    yield PartSpec("aprilgan.class_range", "post_processors", ".few_shot:ClassRangeMean",
                   "mean of the image score and of the map's maximum, scaled over the class's test images",
                   requires={"anomaly_map", "image_score"}, two_phase=True, transductive=True)
    # fmt: on


@hookimpl
def zsad_recipes() -> Iterator[RecipeSpec]:
    """Yield the published methods, and what the code does at the backbone's own image size."""
    yield RecipeSpec("aprilgan", ":recipe.yaml", ".convert:convert")
    yield RecipeSpec("aprilgan@336", ":native_size.yaml", ".convert:convert")
    yield RecipeSpec("aprilgan@few-shot", ":few_shot.yaml", ".convert:convert")
