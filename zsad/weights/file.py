"""A weights file as it lies on disk: its card, its sizes, its hash. No torch here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open

from zsad.weights.card import WeightsCard, file_sha256, read_card


@dataclass(frozen=True)
class WeightsFile:
    """What a weights file holds.

    Attributes:
        path: The file.
        card: Its card.
        size: Bytes.
        sha256: Hash of the whole file.
        parameters: Number of learned values by part key.
    """

    path: Path
    card: WeightsCard
    size: int
    sha256: str
    parameters: dict[str, int]


def read_weights_file(path: Path) -> WeightsFile:
    """Read everything of a weights file but its tensors.

    Raises:
        InputError: Not a zsad weights file.
    """
    card = read_card(path)
    parameters = dict.fromkeys(card.parts, 0)
    with safe_open(path, framework="numpy") as file:
        for name in file.keys():  # noqa: SIM118 (the file itself is not iterable)
            # Names of parts have dots of their own, so that one key may begin another: the longest one owns.
            owners = [key for key in parameters if name.startswith(f"{key}.")]
            if owners:
                parameters[max(owners, key=len)] += math.prod(file.get_slice(name).get_shape())
    return WeightsFile(path, card, path.stat().st_size, file_sha256(path), parameters)
