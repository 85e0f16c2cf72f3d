"""Options of MRAD's parts and losses."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from zsad.plugin.options import Options


def _odd(side: int) -> int:
    if side % 2 == 0:
        raise ValueError(f"a neighbourhood of side {side} has no middle; give an odd number")
    return side


class NeighbourOptions(Options):
    """Options of ``mrad.neighbours``."""

    sides: tuple[Annotated[int, Field(ge=1), AfterValidator(_odd)], ...] = Field((1, 3, 5), min_length=1)
    """Sides of the boxes, in patches."""


class MemoryOptions(Options):
    """Options of ``mrad.memory``."""

    limit: int | None = Field(None, ge=2)
    """At most so many keys of images, and of patches, are kept: evenly spaced in the order of the examples,
    each state in its share. ``null`` keeps all, as published."""


class ProjectedOptions(MemoryOptions):
    """Options of ``mrad.projected``."""

    hidden_patches: float = Field(0.0, ge=0, lt=1)
    """Share of the most similar keys that a patch does not see; while learning only, when its own image is
    among them."""
    hidden_images: float = Field(0.0, ge=0, lt=1)
    """Likewise for images."""


class ImageScoreOptions(Options):
    """Options of ``mrad.image_score``."""

    share: float = Field(0.7, ge=0, le=1)
    """Share of the image memory's probability; the rest is the map's."""
    top: float = Field(0.01, gt=0, le=1)
    """Share of the map's pixels, the largest ones, whose mean counts."""


class ImageLossOptions(Options):
    """Options of the loss ``mrad-image``."""

    temperature: float = Field(0.07, gt=0)
    """Divisor of the two probabilities before the softmax of the cross entropy; a softmax over all keys
    leaves them close to each other."""
