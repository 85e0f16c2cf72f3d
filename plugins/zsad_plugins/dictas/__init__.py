"""DictAS: patches looked up in a dictionary of a few good parts (Qu et al., 2025)."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import PartSpec, RecipeSpec

zsad_api = 1


@hookimpl
def zsad_parts() -> Iterator[PartSpec]:
    """Yield dictionary, look-up and the published image score."""
    # fmt: off
    yield PartSpec("dictas.dictionary", "reference_store", ".lookup:Dictionary",
                   "every token of the reference images as it is, image by image")
    yield PartSpec("dictas.lookup", "scorer", ".lookup:Lookup",
                   "distance of every patch to the sparse mixture of reference tokens that it looks up",
                   options=".options:LookupOptions", requires={"patch_tokens", "memory"},
                   provides={"scores:anomaly"}, learnable=True)
    yield PartSpec("dictas.class_range", "post_processors", ".class_range:ClassRange",
                   "mixes the text's score and the map's maximum, each scaled over the class's test images",
                   options=".options:RangeOptions", requires={"anomaly_map", "text_features"},
                   provides={"image_score"}, two_phase=True, transductive=True)
    # fmt: on


@hookimpl
def zsad_recipes() -> Iterator[RecipeSpec]:
    """Yield the method, and the one with the published image score."""
    yield RecipeSpec("dictas", ":recipe.yaml", ".convert:convert")
    yield RecipeSpec("dictas@class-range", ":class_range.yaml", ".convert:convert")
