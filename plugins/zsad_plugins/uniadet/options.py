"""Options of UniADet's parts."""

from __future__ import annotations

from pydantic import Field

from zsad.plugin.options import Options


class PairOptions(Options):
    """Options of ``uniadet.pairs``."""

    temperature: float = Field(0.07, gt=0)
    """Divisor of the cosines; the paper's value is not known to us."""


class ImageScoreOptions(Options):
    """Options of ``uniadet.image_score``."""

    share: float = Field(0.5, ge=0, le=1)
    """Share of the class tokens' probability; the rest is the map's maximum."""
