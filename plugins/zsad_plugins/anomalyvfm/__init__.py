"""AnomalyVFM: low-rank updates of a frozen tower, and a decoder in place of text (CVPR 2026)."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import PartSpec, RecipeSpec

zsad_api = 1


@hookimpl
def zsad_parts() -> Iterator[PartSpec]:
    """Yield the updated tower and the decoder."""
    # fmt: off
    yield PartSpec("anomalyvfm.low_rank", "attention_refiner", ".low_rank:LowRankBlocks",
                   "low-rank updates of queries, values and output projections, which feed on",
                   options=".options:LowRankOptions", requires={"streams"}, learnable=True)
    yield PartSpec("anomalyvfm.decoder", "scorer", ".decoder:Decoder",
                   "convolutions from patches to a finer map, a linear layer from the class token to a score",
                   options=".options:DecoderOptions", requires={"patch_tokens", "cls_token"},
                   provides={"scores:anomaly", "image_score"}, learnable=True)
    # fmt: on


@hookimpl
def zsad_recipes() -> Iterator[RecipeSpec]:
    """Yield the method."""
    yield RecipeSpec("anomalyvfm", ":recipe.yaml", ".convert:convert")
