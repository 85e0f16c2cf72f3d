"""AnomalyDINO: patches against those of a few good parts, turned (Damm et al., WACV 2025)."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import PartSpec, RecipeSpec

zsad_api = 1


@hookimpl
def zsad_parts() -> Iterator[PartSpec]:
    """Yield the memory of turned references and the scorer by nearest patches."""
    # fmt: off
    yield PartSpec("anomaly_dino.memory", "reference_store", ".memory:TurnedMemory",
                   "every patch token of the references in several rotations, as a unit vector",
                   options=".options:TurnedMemoryOptions")
    yield PartSpec("anomaly_dino.nearest", "scorer", ".scorer:NearestPatches",
                   "distance of every patch to the nearest remembered ones, and its highest percent as image "
                   "score",
                   options=".options:NearestPatchesOptions", requires={"patch_tokens", "memory"},
                   provides={"scores:anomaly", "image_score"})
    # fmt: on


@hookimpl
def zsad_recipes() -> Iterator[RecipeSpec]:
    """Yield the published method."""
    yield RecipeSpec("anomaly-dino", ":recipe.yaml")
