"""Options of AnomalyVFM's parts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from zsad.plugin.options import Options


class LowRankOptions(Options):
    """Options of ``anomalyvfm.low_rank``."""

    rank: int = Field(64, ge=1)
    """Rows of A and columns of B."""
    magnitude: bool = True
    """Learn the length of every row of a layer apart from its direction (DoRA); without it, plain LoRA."""
    scale: float = 1.0
    """Factor of B A."""


class DecoderOptions(Options):
    """Options of ``anomalyvfm.decoder``."""

    widths: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (256, 128, 64, 32)
    """Channels behind each block, of which each doubles the map's sides; multiples of ``groups``."""
    groups: int = Field(32, ge=1)
    """Groups of channels that are normalised together."""
    kernel: Literal[1, 3] = 1
    """Side of the last convolution's kernel."""
    summary: int = Field(1, ge=1)
    """Leading tokens that the image score reads: the class token, and registers behind it."""
