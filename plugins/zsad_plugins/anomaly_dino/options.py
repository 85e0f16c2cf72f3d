"""Options of AnomalyDINO's parts."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from zsad.plugin.options import Options
from zsad_plugins.standard.options import TokenMemoryOptions


class ForegroundOptions(Options):
    """Which patches of an image count."""

    foreground: Literal["everything", "first-component"] = "everything"
    """Whether all patches count, or those alone whose first principal component is large."""
    threshold: float | None = Field(None, gt=0)
    """What that component has to exceed; None is DINOv2's 10, which is refused on other towers."""

    @model_validator(mode="after")
    def _has_effect(self) -> Self:
        if self.threshold is not None and self.foreground == "everything":
            raise ValueError("threshold has no effect without foreground=first-component")
        return self


class TurnedMemoryOptions(TokenMemoryOptions, ForegroundOptions):
    """Options of ``anomaly_dino.memory``."""

    views: int = Field(8, ge=1, le=360)
    """How many times a reference is remembered, each time turned by another 1/views of a full turn."""


class NearestPatchesOptions(ForegroundOptions):
    """Options of ``anomaly_dino.nearest``."""

    neighbours: int = Field(1, ge=1)
    """How many remembered patches the distance is a mean over, the nearest ones."""
    top: float = Field(0.01, gt=0, le=1)
    """Share of the patches, the most distant, whose mean is the image score; rounded down, at least one."""
