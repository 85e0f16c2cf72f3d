"""What prompts call the object of a dataset's class."""

from __future__ import annotations

from functools import cache

import yaml

from zsad.errors import ZsadError
from zsad.plugin.imports import read_resource

RESOURCE = "zsad_prompts:nouns.yaml"
"""Nouns that differ from the class name with underscores as spaces."""


def noun_of(class_name: str) -> str:
    """Return the noun for a class or folder name: ``pipe_fryum`` becomes ``pipe fryum``.

    Names that ``zsad_prompts/nouns.yaml`` lists come out as it says, whatever their case; in all others
    underscores become spaces.
    """
    listed = _nouns().get(class_name.casefold())
    return listed if listed is not None else " ".join(class_name.replace("_", " ").split())


@cache
def _nouns() -> dict[str, str]:
    data = yaml.safe_load(read_resource(RESOURCE))
    nouns = data.get("nouns") if isinstance(data, dict) else None
    if not isinstance(nouns, dict) or not all(
        isinstance(key, str) and isinstance(noun, str) for key, noun in nouns.items()
    ):
        raise ZsadError(f"{RESOURCE} is damaged: 'nouns' has to map class names to nouns")
    return {key.casefold(): noun for key, noun in nouns.items()}
