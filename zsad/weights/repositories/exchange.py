"""Push learned weights to a repository, and pull them from one. No torch here."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from zsad.errors import InputError
from zsad.weights.card import WeightsCard
from zsad.weights.card_text import model_card
from zsad.weights.file import WeightsFile, read_weights_file
from zsad.weights.repositories.folder import CARD, FILE, README, place
from zsad.weights.repositories.names import open_repository


def push(
    file: Path,
    repository: str,
    *,
    revision: str | None = None,
    private: bool = False,
    message: str | None = None,
    backbone: str | None = None,
    licence: str | None = None,
) -> str:
    """Put a weights file into a repository, with its card for machines and for people.

    Args:
        file: A zsad weights file.
        repository: As :func:`zsad.weights.repositories.names.open_repository` takes it.
        revision: Branch on the hub, made where it is missing.
        private: Make a new repository private, and refuse a public one.
        message: Message of the commit.
        backbone: Name of the backbone that they were learned on, for the card.
        licence: Identifier of the licence, for the card.

    Returns:
        Page of the commit, or the folder.

    Raises:
        InputError: Not a weights file, no token, or a folder that holds other files of these names.
        ZsadError: The hub cannot be reached or refuses, or the folder cannot be written to.
    """
    weights = read_weights_file(file)
    target = open_repository(repository, revision)
    readme = model_card(weights, name=target.address, backbone=backbone, licence=licence)
    contents = {
        README: readme.encode(),
        CARD: (weights.card.model_dump_json(indent=2) + "\n").encode(),
        # Last: whoever sees the weights sees a complete folder.
        FILE: file.read_bytes(),
    }
    return target.publish(contents, private=private, message=message)


def pull(repository: str, *, revision: str | None = None, out: Path | None = None) -> WeightsFile:
    """Get the weights of a repository and check that they are what its card says.

    Args:
        repository: As :func:`zsad.weights.repositories.names.open_repository` takes it.
        revision: Branch, tag or commit on the hub.
        out: Folder to copy the files to; by default they stay in the hub's cache, or where they are.

    Returns:
        The weights file.

    Raises:
        InputError: No such repository or revision, one without zsad weights, or ``out`` holds other files of
            these names, which are kept.
        ZsadError: The hub cannot be reached or refuses, or ``out`` cannot be written to.
    """
    folder = open_repository(repository, revision).fetch()
    weights = read_weights_file(folder / FILE)
    _check_agrees(folder / CARD, weights.card, repository)
    if out is None:
        return weights
    names = [name for name in (README, CARD, FILE) if (folder / name).is_file()]
    place(out, {name: (folder / name).read_bytes() for name in names})
    return read_weights_file(out / FILE)


def _check_agrees(path: Path, card: WeightsCard, repository: str) -> None:
    if not path.is_file():
        return
    try:
        shown = WeightsCard.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise InputError(f"{CARD} of '{repository}' is not a card of weights") from error
    if shown != card:
        raise InputError(
            f"'{repository}' is not consistent: its {CARD} says something else than the card in its {FILE}; "
            "ask its owner to push the weights again"
        )
