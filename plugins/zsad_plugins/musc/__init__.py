"""MuSc: the images of a class score one another, without training or text (Li et al., ICLR 2024)."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import PartSpec, RecipeSpec

zsad_api = 1


@hookimpl
def zsad_parts() -> Iterator[PartSpec]:
    """Yield neighbourhood aggregation, mutual scoring and the re-scoring of images."""
    yield PartSpec(
        name="musc.lnamd",
        kind="feature_adapter",
        factory="zsad_plugins.musc.lnamd:build",
        summary="unit patch tokens averaged over neighbourhoods of several sizes, one token set per size",
        options="zsad_plugins.musc.options:LnamdOptions",
        requires=frozenset({"patch_tokens"}),
    )
    yield PartSpec(
        name="musc.mutual",
        kind="scorer",
        factory="zsad_plugins.musc.mutual:build",
        summary="mean distance of a patch to its nearest patch in the most similar other images of its class",
        options="zsad_plugins.musc.options:MutualOptions",
        requires=frozenset({"patch_tokens"}),
        provides=frozenset({"scores:anomaly"}),
        two_phase=True,
        transductive=True,
    )
    yield PartSpec(
        name="musc.rscin",
        kind="post_processors",
        factory="zsad_plugins.musc.rscin:build",
        summary="image scores of a class averaged over the images with the most similar features",
        options="zsad_plugins.musc.options:RscinOptions",
        requires=frozenset({"image_score"}),
        provides=frozenset({"image_score"}),
        two_phase=True,
        transductive=True,
    )


@hookimpl
def zsad_recipes() -> Iterator[RecipeSpec]:
    """Yield the published method, and the published script's settings for VisA."""
    yield RecipeSpec("musc", "zsad_plugins.musc:recipe.yaml")
    yield RecipeSpec("musc@visa", "zsad_plugins.musc:visa.yaml")
