"""What prompts call the object of a dataset's class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache

import yaml

from zsad.data.dataset import Dataset, DatasetImage
from zsad.errors import InputError, ZsadError, nearest
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


def parse_nouns(texts: Iterable[str]) -> dict[str, str]:
    """Return nouns by what they are for: a dataset, or ``DATASET:CLASS``.

    Args:
        texts: ``DATASET=NOUN`` or ``DATASET:CLASS=NOUN``.

    Raises:
        InputError: Another form, or the same thing named twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        whose, equals, word = (piece.strip() for piece in text.partition("="))
        if not (whose and equals and word):
            raise InputError(f"--noun {text}: write DATASET=NOUN or DATASET:CLASS=NOUN")
        if whose in found:
            raise InputError(f"--noun {text}: '{whose}' was given the noun '{found[whose]}' already")
        found[whose] = word
    return found


def with_nouns(datasets: Sequence[Dataset], nouns: Mapping[str, str]) -> list[Dataset]:
    """Return datasets whose objects prompts call otherwise.

    Args:
        datasets: The datasets.
        nouns: As :func:`parse_nouns` returns them; a class's own noun comes before its dataset's.

    Raises:
        InputError: There is no dataset or class of a name.
    """
    known = {name for d in datasets for name in (d.name, *(f"{d.name}:{own}" for own in d.classes))}
    for whose in nouns:
        if whose not in known:
            hint = nearest(whose, known) or f"; there are {', '.join(sorted(known))}"
            raise InputError(f"--noun {whose}={nouns[whose]}: no dataset or class '{whose}'{hint}")

    def renamed(dataset: Dataset, image: DatasetImage) -> DatasetImage:
        own = nouns.get(f"{dataset.name}:{image.class_name}", nouns.get(dataset.name))
        return image if own is None else replace(image, noun=noun_of(own))

    return [
        replace(
            dataset,
            images=tuple(renamed(dataset, image) for image in dataset.images),
            normal_train_images=tuple(renamed(dataset, image) for image in dataset.normal_train_images),
        )
        if nouns
        else dataset
        for dataset in datasets
    ]


@cache
def _nouns() -> dict[str, str]:
    data = yaml.safe_load(read_resource(RESOURCE))
    nouns = data.get("nouns") if isinstance(data, dict) else None
    if not isinstance(nouns, dict) or not all(
        isinstance(key, str) and isinstance(noun, str) for key, noun in nouns.items()
    ):
        raise ZsadError(f"{RESOURCE} is damaged: 'nouns' has to map class names to nouns")
    return {key.casefold(): noun for key, noun in nouns.items()}
