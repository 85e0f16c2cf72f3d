"""AnomalyCLIP: object-agnostic learned prompts over a v-v attention stream (Zhou et al., ICLR 2024)."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import PartSpec, RecipeSpec

zsad_api = 1


@hookimpl
def zsad_parts() -> Iterator[PartSpec]:
    """Yield the object-agnostic prompt learner."""
    yield PartSpec(
        name="anomalyclip.prompts",
        kind="prompt_learner",
        factory="zsad_plugins.anomalyclip.prompts:build",
        summary="one learned normal and one learned abnormal prompt for every object, with deep prompts",
        options="zsad_plugins.anomalyclip.options:PromptOptions",
        requires=frozenset({"text", "causal_text"}),
        provides=frozenset({"text_features"}),
        learnable=True,
    )


@hookimpl
def zsad_recipes() -> Iterator[RecipeSpec]:
    """Yield the published method."""
    yield RecipeSpec(
        "anomalyclip",
        "zsad_plugins.anomalyclip:recipe.yaml",
        converter="zsad_plugins.anomalyclip.convert:convert",
        starter=3,
    )
