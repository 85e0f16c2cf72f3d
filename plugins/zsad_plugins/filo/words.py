"""Words about objects: states, positions, and how the phrases of each class are put into sentences."""

from __future__ import annotations

from functools import cache
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zsad.data.phrases import Words, first_problem, read_yaml
from zsad.errors import InputError


class States(BaseModel):
    """State words, ``{}`` marking the object, and the names of the nine cells row by row."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    normal: Words
    described: str
    abnormal: Words
    positions: Annotated[tuple[str, ...], Field(min_length=9, max_length=9)]
    anomaly_words: Words

    def sentences(self, word: str, phrases: tuple[str, ...]) -> tuple[list[str], list[str]]:
        """Return the normal and the abnormal sentences about an object.

        Args:
            word: What to call it.
            phrases: What can go wrong with it.

        Returns:
            One normal sentence per state, and nine abnormal ones per state: a state at each position.
        """
        described = [self.described.replace("{phrase}", phrase) for phrase in phrases]
        states = [state.replace("{}", word) for state in (*described, *self.abnormal)]
        normal = [f"{state.replace('{}', word)}." for state in self.normal]
        return normal, [f"{state} at {position}." for state in states for position in self.positions]


@cache
def read_states(source: str) -> States:
    """Read state words.

    Raises:
        InputError: There is no such file or resource, or it has another form.
    """
    try:
        return States.model_validate(read_yaml(source))
    except ValidationError as error:
        raise InputError(f"{source} is not a file of states: {first_problem(error)}") from error
