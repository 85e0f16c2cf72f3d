"""CLIP as it is: similarity of patch tokens with prompt ensembles."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import RecipeSpec

zsad_api = 1


@hookimpl
def zsad_recipes() -> Iterator[RecipeSpec]:
    """Yield the baseline, with plain and with v-v attention."""
    yield RecipeSpec("clip-baseline", ":recipe.yaml", starter=1)
    yield RecipeSpec("clip-baseline@vv", ":vv.yaml")
