"""Options of AF-CLIP's parts and losses."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from zsad.plugin.options import Options


def _odd(side: int) -> int:
    if side % 2 == 0:
        raise ValueError(f"a neighbourhood of side {side} has no middle; give an odd number")
    return side


Side = Annotated[int, Field(ge=1), AfterValidator(_odd)]


class PromptOptions(Options):
    """Options of ``af-clip.prompts``."""

    tokens: int = Field(12, ge=1)
    """Learned vectors before the start token."""
    normal: str = "without defect."
    """Words of the normal prompt."""
    abnormal: str = "with defect."
    """Words of the abnormal prompt."""


class AdapterOptions(Options):
    """Options of ``af-clip.adapter``."""

    sides: tuple[Side, ...] = Field((1, 3, 5), min_length=1)
    """Sides r of the neighbourhoods, in patches."""
    deviation: float = Field(4.0, gt=0)
    """Standard deviation of the neighbours' weights, in patches."""
    heads: int = Field(8, ge=1)
    """Heads of the attention."""
    head_width: int = Field(64, ge=1)
    """Channels of a head, whatever the tower's width."""
    keep_raw: bool = False
    """Keep the raw neighbourhoods behind the adapted ones, for a comparison with references."""


class SumOptions(Options):
    """Options of ``af-clip.sum``."""

    temperature: float = Field(0.07, gt=0)
    """Divisor of the cosines."""


class FewShotOptions(SumOptions):
    """Options of ``af-clip.remembered``."""

    alpha: float = Field(0.1, ge=0)
    """Factor of the zero-shot scores, which are added to those of the memory."""


class MapLossOptions(Options):
    """Options of the loss ``af-clip-map``."""

    gradient: Literal["mask", "as-published"] = "mask"
    """``as-published``: the focal loss has the mask's value and the gradient of another target, -1 in normal
    cells, because published code overwrites the mask before the backward pass."""
