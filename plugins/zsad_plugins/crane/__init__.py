"""Crane and Crane+: self-correlation and foreign attention, context-guided prompts (Salehi et al., 2026)."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import PartSpec, RecipeSpec

zsad_api = 1


@hookimpl
def zsad_parts() -> Iterator[PartSpec]:
    """Yield side inputs, attention, prompts, and the way from scores to map and image score."""
    # fmt: off
    yield PartSpec("crane.dinov2", "auxiliary", ".dense_maps:Dinov2Maps",
                   "patch features of a frozen DINOv2 on the tower's grid",
                   options=".options:Dinov2Options", provides={"auxiliary:dinov2"})
    yield PartSpec("crane.stem", "auxiliary", ".dense_maps:StemMaps",
                   "features of mini's frozen convolutional stem on the tower's grid; ships with zsad",
                   options=".options:StemOptions", provides={"auxiliary:stem"})
    yield PartSpec("crane.e_attn", "attention_refiner", ".attention:e_attention",
                   "E-attention: a refined stream of q-q + k-k + v-v attention, read at its end",
                   options=".options:EAttentionOptions", requires={"streams"})
    yield PartSpec("crane.d_attn", "attention_refiner", ".attention:d_attention",
                   "D-attention by dense maps, cut at their mean similarity, beside E-attention",
                   options=".options:DAttentionOptions",
                   requires={"auxiliary:{maps}", "cls_token", "streams"}, batch_dependent="over_batch")
    yield PartSpec("crane.prompts", "prompt_learner", ".prompts:CranePrompts",
                   "AnomalyCLIP's pair of prompts with the fixed words' embeddings kept among the weights",
                   options="zsad_plugins.anomalyclip.options:PromptOptions", requires={"causal_text"},
                   learnable=True)
    yield PartSpec("crane.image_token", "prompt_conditioner", ".image_token:ImageToken",
                   "context-guided prompts: the image feature as one more token of every prompt",
                   options=".options:ImageTokenOptions", requires={"cls_token"})
    yield PartSpec("crane.local_to_global", "scorer", ".local_to_global:LocalToGlobal",
                   "cosine logits per patch; the image feature is mixed with score-weighted patch features",
                   options=".options:LocalToGlobalOptions",
                   requires={"tokens:joint", "text_features", "cls_token"},
                   provides={"scores:logits", "image_score"})
    yield PartSpec("crane.fuse", "post_processors", ".fuse:Fuse",
                   "the abnormal probability at image size: a mean of probabilities, or of logits",
                   options=".options:FuseOptions", requires={"scores:logits"}, provides={"anomaly_map"})
    # fmt: on


@hookimpl
def zsad_recipes() -> Iterator[RecipeSpec]:
    """Yield both published methods and their variants; all learn the same prompts."""
    yield RecipeSpec("crane", ":recipe.yaml", ".convert:convert")
    yield RecipeSpec("crane@image-prompt", ":image_prompt.yaml", ".convert:convert")
    yield RecipeSpec("crane-plus", ":plus.yaml", ".convert:convert")
    yield RecipeSpec("crane-plus@per-image", ":plus_per_image.yaml", ".convert:convert")
    yield RecipeSpec("crane-plus@stem", ":plus_stem.yaml", ".convert:convert")
