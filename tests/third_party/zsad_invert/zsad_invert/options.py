"""The options of ``invert.invert``."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class InvertOptions(BaseModel):
    """The part takes one option."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    strength: float = Field(default=1.0, gt=0, description="Factor on the inverted map.")
