"""APRIL-GAN (VAND 2023): one linear head per tap against state words in templates (Chen et al., 2023)."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import PartSpec, RecipeSpec

zsad_api = 1


@hookimpl
def zsad_parts() -> Iterator[PartSpec]:
    """Yield the linear heads."""
    yield PartSpec(
        name="aprilgan.linear_heads",
        kind="feature_adapter",
        factory="zsad_plugins.aprilgan.heads:LinearHeads",
        summary="a learned linear layer per tap, from raw patch tokens to the joint space",
        requires=frozenset({"tokens:raw"}),
        provides=frozenset({"tokens:joint"}),
        learnable=True,
    )


@hookimpl
def zsad_recipes() -> Iterator[RecipeSpec]:
    """Yield the published method, and what its code does at the backbone's own image size."""
    converter = "zsad_plugins.aprilgan.convert:convert"
    yield RecipeSpec("aprilgan", "zsad_plugins.aprilgan:recipe.yaml", converter)
    yield RecipeSpec("aprilgan@336", "zsad_plugins.aprilgan:native_size.yaml", converter)
