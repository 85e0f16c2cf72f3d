"""Import the authors' checkpoint: ``{"trainable_linearlayer": state dict}``."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from zsad.weights.state import reading


def convert(checkpoint: Any) -> dict[str, Tensor]:
    """Return the checkpoint's learned tensors under zsad's names.

    Raises:
        InputError: Not a checkpoint of APRIL-GAN.
    """
    with reading(checkpoint, "APRIL-GAN", "trainable_linearlayer") as state:
        return {
            f"feature_adapter.heads.{number}.{leaf}": tensor
            for number in range(max(1, state.count("fc.{}.weight")))
            for leaf, tensor in state.layer(f"fc.{number}", "outputs inputs").items()
        }
