"""Parts that many methods are made of, and the losses that most are learned with."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import LossSpec, PartSpec

zsad_api = 1

_OPTIONS = "zsad_plugins.standard.options"
_LOGITS, _PROBABILITIES = frozenset({"scores:logits"}), frozenset({"scores:probabilities"})


@hookimpl
def zsad_parts() -> Iterator[PartSpec]:
    """Yield the standard parts."""
    yield PartSpec(
        name="standard.self_attention",
        kind="attention_refiner",
        factory="zsad_plugins.standard.refiners:build_self_attention",
        summary="a refined stream of self-correlation attention (v-v, q-q, k-k or sums of them)",
        options=f"{_OPTIONS}:SelfAttentionOptions",
        provides=frozenset({"patch_tokens"}),
    )
    yield PartSpec(
        name="standard.templates",
        kind="prompt_learner",
        factory="zsad_plugins.standard.templates:build",
        summary="fixed sentences: state words of an object in photo templates",
        options=f"{_OPTIONS}:TemplatesOptions",
        requires=frozenset({"text"}),
        provides=frozenset({"text_features"}),
    )
    yield PartSpec(
        name="standard.cosine",
        kind="scorer",
        factory="zsad_plugins.standard.scorers:build_cosine",
        summary="cosine of every joint token and of the image feature with the two text features",
        options=f"{_OPTIONS}:CosineOptions",
        requires=frozenset({"tokens:joint", "text_features"}),
        provides=frozenset({"scores:logits", "image_score"}),
    )
    yield PartSpec(
        name="standard.softmax",
        kind="post_processors",
        factory="zsad_plugins.standard.post_processors:build_softmax",
        summary="logits of the two states to probabilities",
        requires=_LOGITS,
        provides=_PROBABILITIES,
    )
    yield PartSpec(
        name="standard.upsample",
        kind="post_processors",
        factory="zsad_plugins.standard.post_processors:build_upsample",
        summary="every score set from its grid to the image size",
        options=f"{_OPTIONS}:UpsampleOptions",
    )
    yield PartSpec(
        name="standard.fuse",
        kind="post_processors",
        factory="zsad_plugins.standard.post_processors:build_fuse",
        summary="score sets to one anomaly map, by their mean or sum",
        options=f"{_OPTIONS}:FuseOptions",
        provides=frozenset({"anomaly_map"}),
    )
    yield PartSpec(
        name="standard.gaussian",
        kind="post_processors",
        factory="zsad_plugins.standard.post_processors:build_gaussian",
        summary="Gaussian smoothing of the anomaly map",
        options=f"{_OPTIONS}:GaussianOptions",
        requires=frozenset({"anomaly_map"}),
    )
    yield PartSpec(
        name="standard.map_maximum",
        kind="post_processors",
        factory="zsad_plugins.standard.post_processors:build_map_maximum",
        summary="the image score becomes the maximum of the anomaly map",
        requires=frozenset({"anomaly_map"}),
        provides=frozenset({"image_score"}),
    )


@hookimpl
def zsad_losses() -> Iterator[LossSpec]:
    """Yield the field's usual losses."""
    here = "zsad_plugins.standard.losses"
    yield LossSpec(
        "focal", f"{here}:focal_maps", "focal loss of every score set's map, without class weights"
    )
    yield LossSpec(
        "dice",
        f"{here}:dice_maps",
        "dice loss of every score set's map, of one state or both",
        options=f"{_OPTIONS}:DiceOptions",
    )
    yield LossSpec(
        "image",
        f"{here}:image_cross_entropy",
        "cross entropy of the image scores",
        options=f"{_OPTIONS}:ImageLossOptions",
    )
    yield LossSpec("image-focal", f"{here}:image_focal", "focal loss of the image scores")
