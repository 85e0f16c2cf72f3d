"""CoPS: prompts synthesised per image from visual prototypes and a VAE's class tokens (arXiv 2508.03447)."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import LossSpec, PartSpec, RecipeSpec

zsad_api = 1


@hookimpl
def zsad_parts() -> Iterator[PartSpec]:
    """Yield pooling, prompts, synthesis and the scorer."""
    # fmt: off
    yield PartSpec("cops.pooling", "feature_adapter", ".tokens:NeighbourPooling",
                   "every patch token averaged with its neighbours on the grid",
                   options=".options:PoolingOptions", requires={"patch_tokens"})
    yield PartSpec("cops.prompts", "prompt_learner", ".prompts:CompletablePrompts",
                   "one normal and one abnormal prompt of learned context, state and class tokens",
                   options=".options:PromptOptions", requires={"causal_text"}, learnable=True)
    yield PartSpec("cops.synthesis", "prompt_conditioner", ".synthesis:PromptSynthesis",
                   "adds prototypes of the image's patches and decoded noise to a learner's context tokens",
                   options=".options:SynthesisOptions", requires={"tokens:joint"}, provides={"prototypes"},
                   learnable=True)
    yield PartSpec("cops.posterior", "prompt_conditioner", ".posterior:PosteriorSynthesis",
                   "cops.synthesis while it learns: noise from an encoder of the image feature, drawn anew",
                   options=".options:SynthesisOptions", requires={"tokens:joint"}, provides={"prototypes"},
                   learnable=True)
    yield PartSpec("cops.scorer", "scorer", ".scorer:PrototypeWeightedScorer",
                   "patch probabilities weighted by distances to prototypes, min-maxed over image or batch",
                   options=".options:ScorerOptions",
                   requires={"prototypes", "text_features", "tokens:joint", "cls_token"},
                   provides={"scores:probabilities", "image_score"}, batch_dependent="over_batch",
                   companions=("cops.synthesis",))
    # fmt: on


@hookimpl
def zsad_losses() -> Iterator[LossSpec]:
    """Yield the losses of prototypes and VAE."""
    # fmt: off
    yield LossSpec("cops-centre", ".losses:centre", "distances of patches to prototypes of their state")
    yield LossSpec("cops-kl", ".losses:kl", "KL divergence of the posterior of class tokens from N(0, I)",
                   masks=False)
    yield LossSpec("cops-reconstruction", ".losses:reconstruction",
                   "squared difference between image features and decoded class biases",
                   options=".options:ReconstructionOptions", masks=False)
    # fmt: on


@hookimpl
def zsad_recipes() -> Iterator[RecipeSpec]:
    """Yield the published method, for weights trained on VisA and on MVTec AD."""
    yield RecipeSpec("cops", ":recipe.yaml", ".convert:convert")
    yield RecipeSpec("cops@mvtec", ":mvtec.yaml", ".convert:convert")
