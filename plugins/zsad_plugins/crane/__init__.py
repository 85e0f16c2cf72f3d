"""Crane and Crane+: self-correlation and foreign attention, context-guided prompts (Salehi et al., 2026)."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import PartSpec, RecipeSpec

zsad_api = 1

_HERE = "zsad_plugins.crane"
_OPTIONS = f"{_HERE}.options"
_PATCHES, _MAPS = frozenset({"patch_tokens"}), frozenset({"dense_maps"})


def _auxiliary() -> Iterator[PartSpec]:
    yield PartSpec(
        name="crane.dinov2",
        kind="auxiliary",
        factory=f"{_HERE}.dense_maps:build_dinov2",
        summary="patch features of a frozen DINOv2 on the tower's grid",
        options=f"{_OPTIONS}:Dinov2Options",
        provides=_MAPS | {"auxiliary:dinov2"},
    )
    yield PartSpec(
        name="crane.stem",
        kind="auxiliary",
        factory=f"{_HERE}.dense_maps:build_stem",
        summary="features of mini's frozen convolutional stem on the tower's grid; ships with zsad",
        options=f"{_OPTIONS}:StemOptions",
        provides=_MAPS | {"auxiliary:stem"},
    )


def _refiners() -> Iterator[PartSpec]:
    yield PartSpec(
        name="crane.e_attn",
        kind="attention_refiner",
        factory=f"{_HERE}.attention:build_e",
        summary="E-attention: a refined stream of q-q + k-k + v-v attention, read at its end",
        options=f"{_OPTIONS}:EAttentionOptions",
        provides=_PATCHES,
    )
    yield PartSpec(
        name="crane.d_attn",
        kind="attention_refiner",
        factory=f"{_HERE}.attention:build_d_per_image",
        summary="D-attention by dense maps, cut at each image's own mean similarity, beside E-attention",
        options=f"{_OPTIONS}:DAttentionOptions",
        requires=_MAPS | {"cls_token"},
        provides=_PATCHES,
    )
    yield PartSpec(
        name="crane.d_attn_batch",
        kind="attention_refiner",
        factory=f"{_HERE}.attention:build_d_batch",
        summary="D-attention as in the published code, cut at the mean similarity of the whole batch",
        options=f"{_OPTIONS}:DAttentionOptions",
        requires=_MAPS | {"cls_token"},
        provides=_PATCHES,
        batch_dependent=True,
    )


@hookimpl
def zsad_parts() -> Iterator[PartSpec]:
    """Yield side inputs, attention, prompts, and the way from scores to map and image score."""
    yield from _auxiliary()
    yield from _refiners()
    yield PartSpec(
        name="crane.prompts",
        kind="prompt_learner",
        factory=f"{_HERE}.prompts:build",
        summary="AnomalyCLIP's pair of prompts with the fixed words' embeddings kept among the weights",
        options="zsad_plugins.anomalyclip.options:PromptOptions",
        requires=frozenset({"text", "causal_text"}),
        provides=frozenset({"text_features"}),
        learnable=True,
    )
    yield PartSpec(
        name="crane.image_token",
        kind="prompt_conditioner",
        factory=f"{_HERE}.image_token:build",
        summary="context-guided prompts: the image feature as one more token of every prompt",
        options=f"{_OPTIONS}:ImageTokenOptions",
        requires=frozenset({"text_features", "cls_token"}),
    )
    yield PartSpec(
        name="crane.local_to_global",
        kind="scorer",
        factory=f"{_HERE}.local_to_global:build",
        summary="cosine logits per patch; the image feature is mixed with score-weighted patch features",
        options=f"{_OPTIONS}:LocalToGlobalOptions",
        requires=frozenset({"tokens:joint", "text_features", "cls_token"}),
        provides=frozenset({"scores:logits", "image_score"}),
    )
    yield PartSpec(
        name="crane.fuse",
        kind="post_processors",
        factory=f"{_HERE}.fuse:build",
        summary="the abnormal probability at image size: a mean of probabilities, or of logits",
        options=f"{_OPTIONS}:FuseOptions",
        requires=frozenset({"scores:logits"}),
        provides=frozenset({"anomaly_map"}),
    )


@hookimpl
def zsad_recipes() -> Iterator[RecipeSpec]:
    """Yield both published methods and their variants; all learn the same prompts."""
    for name, file in (
        ("crane", "recipe.yaml"),
        ("crane@image-prompt", "image_prompt.yaml"),
        ("crane-plus", "plus.yaml"),
        ("crane-plus@per-image", "plus_per_image.yaml"),
        ("crane-plus@stem", "plus_stem.yaml"),
    ):
        yield RecipeSpec(name, f"{_HERE}:{file}", converter=f"{_HERE}.convert:convert")
