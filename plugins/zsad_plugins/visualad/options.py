"""Options of VisualAD's parts and losses."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from zsad.plugin.options import Options


class AlignmentOptions(Options):
    """Options of ``visualad.alignment``."""

    ln_post: Literal["learned", "backbone"] = "learned"
    """The norm behind the taps: the one that training learns, or the backbone's own, as in the published test
    script, which never loads what was learned."""
    anchors: int = Field(4, ge=1)
    """Queries by which an injected token looks at the patches of a tap."""
    places: int = Field(1536, ge=1)
    """Learned position rows of each tap, taken by a patch's number whatever the grid; most patches there can
    be."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Share of values that are left out while learning: of attention, its output and the hidden layer."""


class ImageLossOptions(Options):
    """Options of the loss ``visualad-image``."""

    fraction: float = Field(0.01, gt=0, le=1)
    """Share of the pixels whose mean is the image's logit."""


class HingeOptions(Options):
    """Options of the loss ``visualad-contrast``."""

    margin: float = Field(0.5, ge=0, le=1)
    """The cosine of the two tokens is pushed below minus this."""
