"""The options of ``invert.invert``."""

from __future__ import annotations

from pydantic import Field

from zsad.plugin.options import Options


class InvertOptions(Options):
    """The part takes one option."""

    strength: float = Field(default=1.0, gt=0, description="Factor on the inverted map.")
