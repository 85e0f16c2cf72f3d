"""The card of an adapter's folder: what it may be loaded into and what it was learned on. No torch here."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from zsad.backbones.card import TowerName, TrainedOn
from zsad.errors import InputError
from zsad.weights.adapter.options import LoraOptions

CARD_FILE = "zsad.json"
CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
"""The names of the last two are PEFT's."""


class AdapterCard(BaseModel):
    """What zsad has to know of an adapter beyond what PEFT's own files say.

    Attributes:
        options: What the adapter is made of.
        towers: Hash of the adapted towers' parameters and scale, by tower.
        backbone: sha256 of the backbone that it was learned on.
        method: The method that it was learned beside.
        trained_on: The datasets that it was learned on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    options: LoraOptions
    towers: dict[TowerName, str]
    backbone: str
    method: str
    trained_on: tuple[TrainedOn, ...]

    def trained_on_words(self) -> str:
        """Return the datasets for people."""
        return ", ".join(entry.dataset for entry in self.trained_on) or "nothing"


def read_adapter_card(folder: Path) -> AdapterCard:
    """Read the card of an adapter's folder, and see that PEFT's files are there.

    Raises:
        InputError: No folder, no PEFT adapter, one without a card, or a card that cannot be read.
    """
    if not folder.is_dir():
        raise InputError(
            f"--adapter {folder}: there is no such folder; name one that 'zsad train' has written"
        )
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            raise InputError(
                f"--adapter {folder} is not a folder of a PEFT adapter: it lacks {name}; name one that "
                "'zsad train --adapter lora' has written"
            )
    path = folder / CARD_FILE
    if not path.is_file():
        raise InputError(
            f"--adapter {folder} lacks {CARD_FILE}, which says what backbone it belongs to and what it was "
            "trained on; train it with 'zsad train --adapter lora'"
        )
    try:
        return AdapterCard.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(map(str, problem["loc"])) or "the file"
        raise InputError(f"the card {path} is not readable: {where}: {problem['msg']}") from error
