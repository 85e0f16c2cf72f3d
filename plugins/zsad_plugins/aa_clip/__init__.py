"""AA-CLIP: residual adapters in the first blocks of both towers, learned in turn (CVPR 2025)."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import LossSpec, PartSpec, RecipeSpec

zsad_api = 1


@hookimpl
def zsad_parts() -> Iterator[PartSpec]:
    """Yield adapters of both towers, heads, scorer and the way to map and image score."""
    # fmt: off
    yield PartSpec("aa-clip.blocks", "attention_refiner", ".blocks:AdaptedBlocks",
                   "a residual adapter behind each of the first vision blocks, whose output feeds on",
                   options=".options:BlockOptions", requires={"streams"}, learnable=True,
                   batch_dependent="over_batch")
    yield PartSpec("aa-clip.heads", "feature_adapter", ".heads:Heads",
                   "a learned projection per tap, and one whose mean over the patches is the image feature",
                   options=".options:HeadOptions", requires={"tokens:ln_post"}, provides={"tokens:joint"},
                   learnable=True)
    yield PartSpec("aa-clip.prompts", "prompt_learner", ".prompts:AdaptedPrompts",
                   "fixed sentences through a text tower with residual adapters and a projection of its own",
                   options=".options:PromptOptions", learnable=True)
    yield PartSpec("aa-clip.dot", "scorer", ".scorer:DotScorer",
                   "scaled dot products of tokens with both states, and of the image feature with one",
                   options=".options:ScorerOptions", requires={"tokens:joint", "text_features"},
                   provides={"scores:logits", "image_score"})
    yield PartSpec("aa-clip.difference", "post_processors", ".maps:Difference",
                   "(abnormal + 1 - normal) / 2 of the logits as they are, without softmax",
                   requires={"scores:logits"}, provides={"scores:anomaly"})
    yield PartSpec("aa-clip.grid_blur", "post_processors", ".maps:GridBlur",
                   "a small Gaussian on every score set's own grid", options=".options:BlurOptions")
    yield PartSpec("aa-clip.class_range", "post_processors", ".class_range:ClassRange",
                   "maps and image scores scaled to 0..1 over all images of a class, and mixed",
                   options=".options:RangeOptions", requires={"anomaly_map", "image_score"},
                   two_phase=True, transductive=True)
    # fmt: on


@hookimpl
def zsad_losses() -> Iterator[LossSpec]:
    """Yield the losses of both stages."""
    # fmt: off
    yield LossSpec("aa-clip-maps", ".losses:maps", "focal and dice loss of all taps' maps, or of the last",
                   options=".options:MapLossOptions")
    yield LossSpec("aa-clip-orthogonal", ".losses:orthogonal",
                   "the squared cosine of the two states' text features", masks=False)
    yield LossSpec("aa-clip-image", ".losses:image",
                   "cross entropy of the image feature's dot products, without a temperature", masks=False)
    # fmt: on


@hookimpl
def zsad_recipes() -> Iterator[RecipeSpec]:
    """Yield the method, and the two settings of its image score, which look at a whole class."""
    files = ("text adapter", "image adapter")
    yield RecipeSpec("aa-clip", ":recipe.yaml", ".convert:convert", checkpoint=files)
    yield RecipeSpec("aa-clip@class-range", ":class_range.yaml", ".convert:convert", checkpoint=files)
    yield RecipeSpec("aa-clip@medical", ":medical.yaml", ".convert:convert", checkpoint=files)
