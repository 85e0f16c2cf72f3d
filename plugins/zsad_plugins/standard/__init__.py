"""Parts that many methods are made of, and the losses that most are learned with."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import LossSpec, PartSpec

zsad_api = 1


@hookimpl
def zsad_parts() -> Iterator[PartSpec]:
    """Yield the standard parts."""
    # fmt: off
    yield PartSpec("standard.self_attention", "attention_refiner", ".refiners:self_attention",
                   "a refined stream of self-correlation attention (v-v, q-q, k-k or sums of them)",
                   options=".options:SelfAttentionOptions", requires={"streams"})
    yield PartSpec("standard.templates", "prompt_learner", ".templates:TemplatePrompts",
                   "fixed sentences: state words of an object in photo templates",
                   options=".options:TemplatesOptions")
    yield PartSpec("standard.cosine", "scorer", ".scorers:CosineScorer",
                   "cosine of every joint token and of the image feature with the two text features",
                   options=".options:CosineOptions", requires={"tokens:joint", "text_features"},
                   provides={"scores:logits", "image_score"})
    yield PartSpec("standard.token_memory", "reference_store", ".references:TokenMemory",
                   "every token of the reference images, as a unit vector; or a coreset of them",
                   options=".options:TokenMemoryOptions")
    yield PartSpec("standard.nearest", "scorer", ".references:NearestScorer",
                   "cosine distance of every patch token to the nearest one that is remembered",
                   requires={"patch_tokens", "memory"}, provides={"scores:anomaly"})
    yield PartSpec("standard.softmax", "post_processors", ".post_processors:Softmax",
                   "logits of the two states to probabilities",
                   requires={"scores:logits"}, provides={"scores:probabilities"})
    yield PartSpec("standard.upsample", "post_processors", ".post_processors:Upsample",
                   "every score set from its grid to the image size", options=".options:UpsampleOptions")
    yield PartSpec("standard.fuse", "post_processors", ".post_processors:Fuse",
                   "score sets to one anomaly map, by their mean or sum",
                   options=".options:FuseOptions", provides={"anomaly_map"})
    yield PartSpec("standard.gaussian", "post_processors", ".post_processors:Gaussian",
                   "Gaussian smoothing of the anomaly map",
                   options=".options:GaussianOptions", requires={"anomaly_map"})
    yield PartSpec("standard.map_maximum", "post_processors", ".post_processors:MapMaximum",
                   "the image score becomes the maximum of the anomaly map",
                   requires={"anomaly_map"}, provides={"image_score"})
    yield PartSpec("standard.map_top_mean", "post_processors", ".post_processors:MapTopMean",
                   "the image score becomes the mean of the anomaly map's largest pixels",
                   options=".options:TopMeanOptions", requires={"anomaly_map"}, provides={"image_score"})
    # fmt: on


@hookimpl
def zsad_losses() -> Iterator[LossSpec]:
    """Yield the field's usual losses."""
    # fmt: off
    yield LossSpec("focal", ".losses:focal_maps", "focal loss of every score set's map")
    yield LossSpec("dice", ".losses:dice_maps", "dice loss of every score set's map, of one state or both",
                   options=".options:DiceOptions")
    yield LossSpec("image", ".losses:image_cross_entropy", "cross entropy of the image scores",
                   options=".options:ImageLossOptions", masks=False)
    yield LossSpec("image-focal", ".losses:image_focal", "focal loss of the image scores", masks=False)
    # fmt: on
