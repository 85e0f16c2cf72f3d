"""Two memories of a class's own images behind a text-driven map, inspired by PA-CLIP (arXiv 2503.01292)."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import PartSpec, RecipeSpec

zsad_api = 1


@hookimpl
def zsad_parts() -> Iterator[PartSpec]:
    """Yield the memories, which go behind any scorer of patches."""
    # fmt: off
    yield PartSpec("pa-clip.memories", "post_processors", ".decision:Memories",
                   "scores of patches, less where the class's other images have such a patch in a memory of "
                   "normal patterns or of benign ones that only look anomalous",
                   options=".options:MemoryOptions", requires={"scores:probabilities", "patch_tokens"},
                   provides={"scores:anomaly"}, two_phase=True, transductive=True)
    # fmt: on


@hookimpl
def zsad_recipes() -> Iterator[RecipeSpec]:
    """Yield the memories behind plain CLIP with v-v attention."""
    yield RecipeSpec("pa-clip", ":recipe.yaml")
