"""UniADet: learned pairs of vectors per tap and task in place of text (Gao and Wang, 2026)."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import PartSpec, RecipeSpec

zsad_api = 1


@hookimpl
def zsad_parts() -> Iterator[PartSpec]:
    """Yield the pairs of vectors."""
    # fmt: off
    yield PartSpec("uniadet.pairs", "scorer", ".pairs:Pairs",
                   "cosines with a learned normal and abnormal vector, one pair per tap and task",
                   options=".options:PairOptions", requires={"patch_tokens", "cls_token"},
                   provides={"scores:logits", "image_score"}, learnable=True)
    yield PartSpec("uniadet.image_score", "post_processors", ".pairs:ImageScore",
                   "mixes the image score with the map's maximum",
                   options=".options:ImageScoreOptions", requires={"anomaly_map", "image_score"},
                   provides={"image_score"})
    # fmt: on


@hookimpl
def zsad_recipes() -> Iterator[RecipeSpec]:
    """Yield the zero-shot method."""
    yield RecipeSpec("uniadet", ":recipe.yaml")
