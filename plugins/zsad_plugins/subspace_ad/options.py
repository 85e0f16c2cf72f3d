"""Options of SubspaceAD's parts."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from zsad.plugin.options import Options


def _odd(size: int) -> int:
    if size < 1 or size % 2 == 0:
        raise ValueError(f"a kernel has a pixel at its centre, so its size is odd, not {size}")
    return size


class SubspaceMemoryOptions(Options):
    """Options of ``subspace_ad.memory``."""

    explained: float = Field(0.99, gt=0, le=1)
    """Share of the variance that the subspace has to hold; its dimension is the smallest that does."""
    views: int = Field(31, ge=1)
    """How many times a reference is looked at: once as it is, and else turned by a random angle."""
    largest_angle: float = Field(345.0, ge=0, le=360)
    """Random angles are drawn from 0 to this, in degrees."""


class BlurOptions(Options):
    """Options of ``subspace_ad.blur``."""

    sigma: float = Field(4.0, gt=0)
    """Standard deviation of the Gaussian in pixels."""
    size: Annotated[int, AfterValidator(_odd)] = 3
    """Side of the kernel in pixels, to which the Gaussian is cut."""


class TopMeanOptions(Options):
    """Options of ``subspace_ad.top_mean``."""

    fraction: float = Field(0.01, gt=0, le=1)
    """Share of the pixels, the largest, whose mean is the score; rounded down, at least one."""
