"""Options of MuSc's parts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from zsad.plugin.options import Options


def _odd(side: int) -> int:
    if side < 1 or side % 2 == 0:
        raise ValueError(f"a neighbourhood has a patch at its centre, so its side is odd, not {side}")
    return side


def _interval(bounds: tuple[float, float]) -> tuple[float, float]:
    low, high = bounds
    if not 0 <= low < high <= 1:
        raise ValueError("an interval is two shares from 0 to 1, the smaller one first")
    return bounds


class LnamdOptions(Options):
    """Options of ``musc.lnamd`` (section 3.1 of the paper)."""

    sides: tuple[Annotated[int, AfterValidator(_odd)], ...] = Field((1, 3, 5), min_length=1)
    """Sides r of the neighbourhoods in patches; 1 is the patch alone."""


class MutualOptions(Options):
    """Options of ``musc.mutual`` (section 3.2 of the paper)."""

    interval: Annotated[tuple[float, float], AfterValidator(_interval)] = (0.0, 0.3)
    """Which of the ascending distances to the other images are averaged, as shares of their number."""
    memory_mb: int = Field(256, ge=1)
    """Bound on what the comparison of a block of images holds, in MiB; it changes no result."""
    keep: Literal["float32", "float16"] = "float32"
    """Precision in which the tokens of a class wait in main memory; distances are float32 either way."""


class RscinOptions(Options):
    """Options of ``musc.rscin`` (section 3.3 of the paper)."""

    neighbours: tuple[Annotated[int, Field(ge=1)], ...] = Field((1, 2, 3), min_length=1)
    """Sizes of the neighbourhoods whose averages are averaged; an image is its own first neighbour."""
    min_max: bool = True
    """Rescale the scores of a class to 0 ... 1 before, as published; without, they keep their own scale."""
