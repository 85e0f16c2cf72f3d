"""AnomalyCLIP: object-agnostic learned prompts over a v-v attention stream (Zhou et al., ICLR 2024)."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import PartSpec, RecipeSpec

zsad_api = 1


@hookimpl
def zsad_parts() -> Iterator[PartSpec]:
    """Yield the object-agnostic prompt learner."""
    # fmt: off
    yield PartSpec("anomalyclip.prompts", "prompt_learner", ".prompts:ObjectAgnosticPrompts",
                   "one learned normal and one learned abnormal prompt for every object, with deep prompts",
                   options=".options:PromptOptions", requires={"causal_text"}, learnable=True)
    # fmt: on


@hookimpl
def zsad_recipes() -> Iterator[RecipeSpec]:
    """Yield the published method."""
    yield RecipeSpec("anomalyclip", ":recipe.yaml", ".convert:convert", starter=3)
