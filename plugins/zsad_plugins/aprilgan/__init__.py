"""APRIL-GAN (VAND 2023): one linear head per tap against state words in templates (Chen et al., 2023)."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import PartSpec, RecipeSpec

zsad_api = 1


@hookimpl
def zsad_parts() -> Iterator[PartSpec]:
    """Yield the linear heads."""
    # fmt: off
    yield PartSpec("aprilgan.linear_heads", "feature_adapter", ".heads:LinearHeads",
                   "a learned linear layer per tap, from raw patch tokens to the joint space",
                   requires={"tokens:raw"}, provides={"tokens:joint"}, learnable=True)
    # fmt: on


@hookimpl
def zsad_recipes() -> Iterator[RecipeSpec]:
    """Yield the published method, and what its code does at the backbone's own image size."""
    yield RecipeSpec("aprilgan", ":recipe.yaml", ".convert:convert")
    yield RecipeSpec("aprilgan@336", ":native_size.yaml", ".convert:convert")
