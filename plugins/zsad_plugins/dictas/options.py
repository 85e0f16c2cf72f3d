"""Options of DictAS's parts and of its loss."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from zsad.plugin.options import Options

Rule = Literal["sparsemax", "softmax", "maximum"]


def _odd(side: int) -> int:
    if side % 2 == 0:
        raise ValueError(f"a neighbourhood of side {side} has no middle; give an odd number")
    return side


class LookupOptions(Options):
    """Options of ``dictas.lookup``."""

    sides: tuple[Annotated[int, Field(ge=1), AfterValidator(_odd)], ...] = Field((1, 3), min_length=1)
    """Sides, in patches, of the boxes over which tokens are averaged; published code leaves 3 out on some
    datasets."""
    rule: Rule = "sparsemax"
    """How similarities become weights: by the nearest point of the simplex, by softmax, or all on the most
    similar entry."""
    heads: int = Field(4, ge=1)
    """Heads of the generators' attention."""


class RangeOptions(Options):
    """Options of ``dictas.class_range``."""

    text_share: float = Field(0.5, ge=0, le=1)
    """Share of the text's score; published code takes 0.2 on MVTec AD and VisA, whatever it is told, and 0 on
    four classes."""
