"""CoPS: prompts synthesised per image from visual prototypes and a VAE's class tokens (arXiv 2508.03447)."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import LossSpec, PartSpec, RecipeSpec

zsad_api = 1

_HERE = "zsad_plugins.cops"
_SCORER_NEEDS = frozenset({"prototypes", "text_features", "tokens:joint", "cls_token"})
_SCORER_GIVES = frozenset({"scores:probabilities", "image_score"})


@hookimpl
def zsad_parts() -> Iterator[PartSpec]:
    """Yield pooling, prompts, synthesis and the two extents of the scorer's min-max."""
    yield PartSpec(
        name="cops.pooling",
        kind="feature_adapter",
        factory=f"{_HERE}.tokens:build_pooling",
        summary="every patch token averaged with its neighbours on the grid",
        options=f"{_HERE}.options:PoolingOptions",
        requires=frozenset({"patch_tokens"}),
    )
    yield PartSpec(
        name="cops.prompts",
        kind="prompt_learner",
        factory=f"{_HERE}.prompts:build",
        summary="one normal and one abnormal prompt of learned context, state and class tokens",
        options=f"{_HERE}.options:PromptOptions",
        requires=frozenset({"text", "causal_text"}),
        provides=frozenset({"text_features"}),
        learnable=True,
    )
    yield PartSpec(
        name="cops.synthesis",
        kind="prompt_conditioner",
        factory=f"{_HERE}.synthesis:build",
        summary="adds prototypes of the image's patches and decoded noise to a learner's context tokens",
        options=f"{_HERE}.options:SynthesisOptions",
        requires=frozenset({"text_features", "tokens:joint"}),
        provides=frozenset({"prototypes"}),
        learnable=True,
    )
    yield PartSpec(
        name="cops.posterior",
        kind="prompt_conditioner",
        factory=f"{_HERE}.posterior:build",
        summary="cops.synthesis while it learns: noise from an encoder of the image feature, drawn anew",
        options=f"{_HERE}.options:SynthesisOptions",
        requires=frozenset({"text_features", "tokens:joint"}),
        provides=frozenset({"prototypes"}),
        learnable=True,
    )
    yield PartSpec(
        name="cops.scorer",
        kind="scorer",
        factory=f"{_HERE}.scorer:build",
        summary="patch probabilities weighted by distances to prototypes, min-maxed over each image",
        options=f"{_HERE}.options:ScorerOptions",
        requires=_SCORER_NEEDS,
        provides=_SCORER_GIVES,
        companions=("cops.synthesis",),
    )
    # A spec says once whether a part depends on the batch, so the official extent is a part of its own.
    yield PartSpec(
        name="cops.scorer_batch",
        kind="scorer",
        factory=f"{_HERE}.scorer:build_batch",
        summary="cops.scorer with the official code's min-max over the whole batch",
        options=f"{_HERE}.options:ScorerOptions",
        requires=_SCORER_NEEDS,
        provides=_SCORER_GIVES,
        batch_dependent=True,
        companions=("cops.synthesis",),
    )


@hookimpl
def zsad_losses() -> Iterator[LossSpec]:
    """Yield the losses of prototypes and VAE."""
    here = f"{_HERE}.losses"
    yield LossSpec("cops-centre", f"{here}:centre", "distances of patches to prototypes of their state")
    yield LossSpec("cops-kl", f"{here}:kl", "KL divergence of the posterior of class tokens from N(0, I)")
    yield LossSpec(
        "cops-reconstruction",
        f"{here}:reconstruction",
        "squared difference between image features and decoded class biases",
        options=f"{_HERE}.options:ReconstructionOptions",
    )


@hookimpl
def zsad_recipes() -> Iterator[RecipeSpec]:
    """Yield the published method, for weights trained on VisA and on MVTec AD."""
    converter = f"{_HERE}.convert:convert"
    yield RecipeSpec("cops", f"{_HERE}:recipe.yaml", converter=converter)
    yield RecipeSpec("cops@mvtec", f"{_HERE}:mvtec.yaml", converter=converter)
