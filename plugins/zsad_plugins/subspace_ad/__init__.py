"""SubspaceAD: patches that leave the principal subspace of a few good parts (Lendering et al., CVPR 2026)."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import PartSpec, RecipeSpec

zsad_api = 1


@hookimpl
def zsad_parts() -> Iterator[PartSpec]:
    """Yield the subspace, the residual and what becomes of its map."""
    # fmt: off
    yield PartSpec("subspace_ad.memory", "reference_store", ".memory:SubspaceMemory",
                   "mean and principal axes of the patch tokens of the references and of rotated copies",
                   options=".options:SubspaceMemoryOptions")
    yield PartSpec("subspace_ad.residual", "scorer", ".residual:ResidualScorer",
                   "squared length of what the remembered subspace leaves of every patch token",
                   requires={"patch_tokens", "memory"}, provides={"scores:anomaly"})
    yield PartSpec("subspace_ad.blur", "post_processors", ".post_processors:Blur",
                   "smoothing of the anomaly map by a Gaussian cut to a few pixels",
                   options=".options:BlurOptions", requires={"anomaly_map"})
    yield PartSpec("subspace_ad.top_mean", "post_processors", ".post_processors:TopMean",
                   "the image score becomes the mean of the anomaly map's largest pixels, rounded down",
                   options=".options:TopMeanOptions", requires={"anomaly_map"}, provides={"image_score"})
    # fmt: on


@hookimpl
def zsad_recipes() -> Iterator[RecipeSpec]:
    """Yield the published method."""
    yield RecipeSpec("subspace-ad", ":recipe.yaml")
