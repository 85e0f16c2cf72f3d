"""MuSc: the images of a class score one another, without training or text (Li et al., ICLR 2024)."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import PartSpec, RecipeSpec

zsad_api = 1


@hookimpl
def zsad_parts() -> Iterator[PartSpec]:
    """Yield neighbourhood aggregation, mutual scoring and the re-scoring of images."""
    # fmt: off
    yield PartSpec("musc.lnamd", "feature_adapter", ".lnamd:Lnamd",
                   "unit patch tokens averaged over neighbourhoods of several sizes, one token set per size",
                   options=".options:LnamdOptions", requires={"patch_tokens"})
    yield PartSpec("musc.mutual", "scorer", ".mutual:MutualScorer",
                   "mean distance of a patch to its nearest patch in the most similar other images of its "
                   "class",
                   options=".options:MutualOptions", requires={"patch_tokens"}, provides={"scores:anomaly"},
                   two_phase=True, transductive=True)
    yield PartSpec("musc.rscin", "post_processors", ".rscin:Rscin",
                   "image scores of a class averaged over the images with the most similar features",
                   options=".options:RscinOptions", requires={"image_score"}, provides={"image_score"},
                   two_phase=True, transductive=True)
    # fmt: on


@hookimpl
def zsad_recipes() -> Iterator[RecipeSpec]:
    """Yield the published method, and the published script's settings for VisA."""
    yield RecipeSpec("musc", ":recipe.yaml")
    yield RecipeSpec("musc@visa", ":visa.yaml")
