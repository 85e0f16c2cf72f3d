"""Nearest neighbour: patches against those of good parts, the floor that few-shot methods have to beat."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import RecipeSpec

zsad_api = 1


@hookimpl
def zsad_recipes() -> Iterator[RecipeSpec]:
    """Yield the method, which is made of standard parts."""
    yield RecipeSpec("nearest-neighbour", ":recipe.yaml")
