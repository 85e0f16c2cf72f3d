"""Options of the two memories."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from zsad.plugin.options import Options


def _odd(side: int) -> int:
    if side < 1 or side % 2 == 0:
        raise ValueError(f"a neighbourhood has a patch at its centre, so its side is odd, not {side}")
    return side


class MemoryOptions(Options):
    """Options of ``pa-clip.memories``."""

    sides: tuple[Annotated[int, AfterValidator(_odd)], ...] = Field((1, 3), min_length=1)
    """Sides in patches of the neighbourhoods that features are averaged over."""
    normal_images: float = Field(0.5, gt=0, le=1)
    """Share of the class's images, those of the lowest scores, that the normal memory is made of; two at
    least."""
    normal_patches: float = Field(0.5, gt=0, le=1)
    """Share of the patches of such an image, those of the lowest scores, that may enter it."""
    suspicious: float = Field(0.05, gt=0, le=1)
    """Share of all the class's patches, those of the highest scores, that may be benign all the same."""
    recurrence: float = Field(0.9, gt=0, le=1)
    """A suspicious patch is benign where it is as near to most other images as this share of the normal
    memory is."""
    capacity: int = Field(2000, ge=2)
    """Most entries of each memory."""
    scale: float = Field(0.99, gt=0, le=1)
    """Quantile of the class's distances to the normal memory that counts as entirely different."""
