"""The card that travels inside every weights file. No torch here."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open

from zsad.backbones.card import TrainedOn
from zsad.backbones.downloads import check_download
from zsad.errors import InputError

METADATA_KEY = "zsad_card"
"""The safetensors metadata entry that holds the card as JSON."""

Origin = Literal["authors", "own", "none"]


class WeightsCard(BaseModel):
    """What learned weights are, where they come from and what they may be loaded into.

    Attributes:
        method: Method that they belong to.
        parts: Kind -> part name, for every part the file holds parameters of.
        profile: The vision numerics that they were learned with; loading under others is refused. Empty where
            nobody knows them, which refuses nothing but an adapter.
        text_activation: Activation of the text tower that they were learned with, or None.
        text_adapter: Hash of the adapter of the text tower that they were learned with, or None.
        backbone: sha256 of the backbone that they were learned on, or None where it is not known.
        origin: ``authors``' published checkpoint, ``own`` training, or ``none``.
        trained_on: Datasets, or None where nobody said.
        source: The file that they were converted from, with its sha256.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    method: str
    parts: dict[str, str]
    profile: dict[str, str | None]
    text_activation: str | None = None
    text_adapter: str | None = None
    backbone: str | None = None
    origin: Origin
    trained_on: tuple[TrainedOn, ...] | None = None
    source: str | None = None

    def trained_on_words(self) -> str:
        """Return the datasets for people."""
        if self.trained_on is None:
            return "not stated"
        return ", ".join(entry.dataset for entry in self.trained_on) or "nothing"


def read_card(path: Path) -> WeightsCard:
    """Read the card of a weights file.

    Raises:
        InputError: Not a zsad weights file.
    """
    if not path.is_file():
        raise InputError(f"there is no weights file {path}")
    check_download(path, "a safetensors weights file")
    try:
        with safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {}).get(METADATA_KEY)
    except (SafetensorError, OSError) as error:
        mend = (
            "; import an authors' checkpoint with 'zsad convert' first"
            if path.suffix in (".pth", ".pt")
            else ""
        )
        raise InputError(f"{path} is not a safetensors weights file{mend}") from error
    if text is None:
        raise InputError(f"{path} has no zsad card; convert the authors' checkpoint with 'zsad convert'")
    try:
        return WeightsCard.model_validate_json(text)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        raise InputError(f"the card of {path} is not readable: {problem['loc']}: {problem['msg']}") from error


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
