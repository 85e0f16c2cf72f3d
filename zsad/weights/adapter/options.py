"""What a low-rank adapter is made of, as data. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from zsad.backbones.card import TowerName
from zsad.errors import InputError
from zsad.recipe.recipes import first_problem

Linear = Literal["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]
"""The linear layers of a block."""


class LoraOptions(BaseModel):
    """Low-rank adaptation of linear layers: ``W x + (alpha / rank) B A x`` (Hu et al., ICLR 2022, eq. 3).

    Attributes:
        rank: Rows of A and columns of B.
        target: Whose blocks are adapted; one of the text tower alone leaves image features as they are.
        alpha: Numerator of the scale. Kept while the rank is tuned, it spares tuning the learning rate again
            (section 4.1).
        dropout: Share of A's inputs that are dropped while learning.
        modules: Which linear layers of every block. The four of attention are the default: the paper adapts
            attention alone (section 4.2), and what methods read densely passes ``v_proj`` and ``out_proj``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: Annotated[int, Field(ge=1)] = 8
    target: Literal["vision", "text", "both"] = "vision"
    alpha: Annotated[int, Field(ge=1)] = 16
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    modules: Annotated[tuple[Linear, ...], Field(min_length=1)] = ("q_proj", "k_proj", "v_proj", "out_proj")

    @field_validator("modules")
    @classmethod
    def _named_once(cls, value: tuple[Linear, ...]) -> tuple[Linear, ...]:
        if len(set(value)) != len(value):
            raise ValueError("a module is named twice")
        return value

    @property
    def towers(self) -> tuple[TowerName, ...]:
        """The adapted towers."""
        return ("vision", "text") if self.target == "both" else (self.target,)


def lora_options(given: Mapping[str, Any]) -> LoraOptions:
    """Return the options of an adapter, with defaults filled in.

    Args:
        given: Those that were set, as plain data.

    Raises:
        InputError: An unknown option, or a value that it cannot take.
    """
    try:
        return LoraOptions.model_validate(given)
    except ValidationError as error:
        raise InputError(f"--set adapter...: {first_problem(error, LoraOptions)}") from error
