"""Import the authors' checkpoint: ``{"trainable_linearlayer": state dict}``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from zsad.errors import InputError

ENTRY = "trainable_linearlayer"


def convert(checkpoint: Any) -> dict[str, Tensor]:
    """Return the checkpoint's learned tensors under zsad's names.

    Args:
        checkpoint: What ``torch.load(..., weights_only=True)`` gave.

    Raises:
        InputError: Not a checkpoint of APRIL-GAN.
    """
    state = checkpoint.get(ENTRY) if isinstance(checkpoint, Mapping) else None
    if not isinstance(state, Mapping):
        raise InputError(f"it has no entry '{ENTRY}', which APRIL-GAN's checkpoints have")
    layers = linear_layers(state, "fc.", len(state) // 2)
    for key in state:
        if key.removeprefix("fc.") not in layers:
            raise InputError(f"its linear layers have '{key}', which APRIL-GAN's have not")
    return {f"feature_adapter.heads.{name}": tensor for name, tensor in layers.items()}


def linear_layers(state: Mapping[str, Any], prefix: str, count: int) -> dict[str, Tensor]:
    """Return ``count`` equal linear layers of a state dict, ``0.weight``, ``0.bias``, ``1.weight`` ...

    Args:
        state: Tensors by name.
        prefix: What stands before a layer's number.
        count: How many there have to be, at least one.

    Raises:
        InputError: A tensor is missing or does not fit the others.
    """
    found: dict[str, Tensor] = {}
    shape: tuple[int, ...] | None = None
    for number in range(max(1, count)):
        for leaf, axes in (("weight", 2), ("bias", 1)):
            name = f"{prefix}{number}.{leaf}"
            if name not in state:
                raise InputError(f"it lacks '{name}'")
            tensor = state[name]
            if not isinstance(tensor, Tensor):
                raise InputError(f"'{name}' is no tensor")
            shape = tuple(tensor.shape) if shape is None else shape
            if tensor.ndim != axes or tuple(tensor.shape) != shape[:axes]:
                wanted = shape[:axes] if len(shape) == 2 else "(outputs, inputs)"
                raise InputError(f"'{name}' has the shape {tuple(tensor.shape)} instead of {wanted}")
            found[f"{number}.{leaf}"] = tensor.float()
    return found
