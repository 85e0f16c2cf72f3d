"""Options of the painter of drawn defects."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from zsad.errors import nearest
from zsad_plugins.generators.options import ImageOptions

DEFECTS = (
    "scratch",
    "crack",
    "wrinkle",
    "stain",
    "discoloration",
    "corrosion",
    "abrasion",
    "contamination",
    "blob",
    "hole",
    "pits",
    "dent",
    "chip",
    "bent",
)
"""The drawn defects that need no more of a scene than a picture, without those kept out of all training."""


def _known(defects: tuple[str, ...]) -> tuple[str, ...]:
    for name in defects:
        if name not in DEFECTS:
            raise ValueError(f"there is no '{name}'{nearest(name, DEFECTS)} (known: {', '.join(DEFECTS)})")
    return defects


class PaintedDefectsOptions(ImageOptions):
    """Options of ``procedural``."""

    defects: Annotated[tuple[str, ...], AfterValidator(_known)] = Field(DEFECTS, min_length=1)
    """Types of defects, each equally likely."""
    resolution: int = Field(256, ge=64, le=1024)
    """Longest side at which a defect is drawn, in pixels; larger images get the enlarged change."""
