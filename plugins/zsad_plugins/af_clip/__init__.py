"""AF-CLIP: an attention adapter over neighbourhoods of patches, two learned prompts (Fang et al., 2025)."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import LossSpec, PartSpec, RecipeSpec

zsad_api = 1


@hookimpl
def zsad_parts() -> Iterator[PartSpec]:
    """Yield prompts, adapter and scorer."""
    # fmt: off
    yield PartSpec("af-clip.prompts", "prompt_learner", ".prompts:StatePrompts",
                   "two sentences without a noun behind learned vectors that stand before the start token",
                   options=".options:PromptOptions", requires={"causal_text"}, learnable=True)
    yield PartSpec("af-clip.adapter", "feature_adapter", ".adapter:NeighbourAdapter",
                   "one shared self-attention over neighbourhoods of every tap, then to the joint space",
                   options=".options:AdapterOptions", requires={"tokens:raw", "cls_token", "text"},
                   provides={"tokens:joint"}, learnable=True)
    yield PartSpec("af-clip.sum", "scorer", ".scorer:SummedCosines",
                   "logits summed over all token sets; the class position gives the image score",
                   options=".options:SumOptions", requires={"tokens:joint", "text_features", "cls_token"},
                   provides={"scores:logits", "image_score"})
    yield PartSpec("af-clip.remembered", "scorer", ".few_shot:RememberedScorer",
                   "distance to the nearest remembered neighbourhood plus a share of the zero-shot scores",
                   options=".options:FewShotOptions",
                   requires={"tokens:joint", "text_features", "cls_token", "memory"},
                   provides={"scores:anomaly", "image_score"})
    # fmt: on


@hookimpl
def zsad_losses() -> Iterator[LossSpec]:
    """Yield the three losses."""
    # fmt: off
    yield LossSpec("af-clip-image", ".losses:image", "focal loss (power 4) of the image scores", masks=False)
    yield LossSpec("af-clip-map", ".losses:maps", "focal loss (power 4) and L1 of the map on the grid",
                   options=".options:MapLossOptions")
    yield LossSpec("af-clip-alignment", ".losses:alignment",
                   "patches of one state nearer to one another than to those of the other")
    # fmt: on


@hookimpl
def zsad_recipes() -> Iterator[RecipeSpec]:
    """Yield the zero-shot method and the few-shot one."""
    files, reader = ("prompt", "adaptor"), "zsad.weights.pickled:read_module"
    for name, resource in (("af-clip", ":recipe.yaml"), ("af-clip@few-shot", ":few_shot.yaml")):
        yield RecipeSpec(name, resource, ".convert:convert", checkpoint=files, reader=reader)
