"""Options of WinCLIP's parts."""

from __future__ import annotations

from pydantic import Field

from zsad.plugin.options import Options


class WindowOptions(Options):
    """Options of ``winclip.windows``."""

    sizes: tuple[int, ...] = Field((2, 3), min_length=1)
    """Sides of the windows in patches."""
    stride: int = Field(1, ge=1)
    """Step between windows in patches."""
    patches: bool = False
    """Also read the patches of the last block behind ln_post, which references are compared by."""


class ScorerOptions(Options):
    """Options of ``winclip.anomaly`` and ``winclip.normality``."""

    temperature: float = Field(0.07, gt=0)
    """Divisor of the cosines."""
