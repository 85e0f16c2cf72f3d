"""What can go wrong with objects, in phrases per object."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zsad.errors import InputError, ZsadError
from zsad.plugin.imports import read_resource

PHRASES = "zsad_prompts:phrases.yaml"
"""The phrases that come with zsad."""

Words = Annotated[tuple[str, ...], Field(min_length=1)]


class _PhraseFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = ""
    generic: tuple[str, ...] = ()
    phrases: dict[str, Words]


@dataclass(frozen=True)
class Phrases:
    """What can go wrong with objects.

    Attributes:
        by_object: Phrases by noun or class name, in lower case without underscores.
        generic: Those of any other object.
    """

    by_object: dict[str, tuple[str, ...]]
    generic: tuple[str, ...]

    def of(self, *names: str) -> tuple[str, ...]:
        """Return the phrases of the first name that is listed, else the generic ones."""
        found = (self.by_object.get(_key(name)) for name in names)
        return next((phrases for phrases in found if phrases), self.generic)


@cache
def read_phrases(source: str = PHRASES) -> Phrases:
    """Read phrases: a mapping from objects to lists, by itself or under ``phrases`` beside ``generic``.

    Raises:
        InputError: There is no such file or resource, or it has another form.
    """
    data = read_yaml(source)
    whole = isinstance(data, dict) and isinstance(data.get("phrases"), dict)
    try:
        file = _PhraseFile.model_validate(data if whole else {"phrases": data})
    except ValidationError as error:
        raise InputError(f"{source} is not a file of phrases per object: {first_problem(error)}") from error
    generic = file.generic or (() if source == PHRASES else read_phrases(PHRASES).generic)
    return Phrases({_key(name): phrases for name, phrases in file.phrases.items()}, generic)


def first_problem(error: ValidationError) -> str:
    """Return pydantic's first complaint as one clause."""
    problem = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"


def read_yaml(source: str) -> object:
    """Read YAML (and so JSON) from a file, or else from a resource ``package:file``.

    Raises:
        InputError: There is no such file or resource, or it is no YAML.
    """
    try:
        path = Path(source)
        text = path.read_text(encoding="utf-8") if path.is_file() else read_resource(source)
        return yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, ZsadError, yaml.YAMLError) as error:
        why = str(error).splitlines()[0]
        raise InputError(f"'{source}' is neither a readable YAML file nor such a resource: {why}") from error


def _key(name: str) -> str:
    return " ".join(name.replace("_", " ").casefold().split())
