"""What a low-rank adapter is made of, as data. No torch here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from zsad.backbones.card import TowerName
from zsad.errors import InputError
from zsad.recipe.recipes import first_problem

Linear = Literal["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]
"""The linear layers of a block."""

PREFIX = "adapter."
"""What ``--set`` writes before the name of an option."""


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


def adapter_options(overrides: Sequence[str]) -> tuple[LoraOptions, list[str]]:
    """Take the options of an adapter out of ``--set`` values.

    Args:
        overrides: As the user wrote them; those of the form ``adapter.option=value`` are the adapter's.

    Returns:
        The options, and the overrides that are left for the recipe.

    Raises:
        InputError: Not of that form, an unknown option, or a value that it cannot take.
    """
    given: dict[str, object] = {}
    rest: list[str] = []
    for text in overrides:
        if not text.startswith(PREFIX):
            rest.append(text)
            continue
        name, equals, value = text.removeprefix(PREFIX).partition("=")
        if not equals:
            raise InputError(f"--set {text}: write adapter.option=value")
        try:
            given[name.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise InputError(f"--set {text}: '{value}' is not a value in YAML") from error
    try:
        return LoraOptions.model_validate(given), rest
    except ValidationError as error:
        raise InputError(f"--set {PREFIX}...: {first_problem(error, LoraOptions)}") from error
