"""Import the authors' checkpoint: a flat dict of the learned tensors, under the prefix ``clip_model.``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from zsad.errors import InputError
from zsad_plugins.aprilgan.convert import linear_layers

PREFIX = "clip_model."
PROMPTERS = {"visual": "attention_refiner", "text": "prompt_conditioner"}
"""Where the prompts of a tower go."""
PATCHES, IMAGE = "patch_token_layer.head.", "cls_token_layer.head."


def convert(checkpoint: Any) -> dict[str, Tensor]:
    """Return the checkpoint's learned tensors under zsad's names.

    Args:
        checkpoint: What ``torch.load(..., weights_only=True)`` gave.

    Raises:
        InputError: Not a checkpoint of AdaCLIP with static and dynamic prompts in both towers.
    """
    if not isinstance(checkpoint, Mapping) or not any(str(key).startswith(PREFIX) for key in checkpoint):
        raise InputError(f"it has no entries '{PREFIX}...', which AdaCLIP's checkpoints have")
    for key, value in checkpoint.items():
        if not isinstance(value, Tensor):
            raise InputError(f"'{key}' is no tensor")
    left = {str(key).removeprefix(PREFIX): tensor for key, tensor in checkpoint.items()}
    found: dict[str, Tensor] = {}
    for tower, place in PROMPTERS.items():
        static = _static_prompts(left, f"{tower}_prompter.static_prompts.")
        generator = f"dynamic_{tower}_prompt_generator.head."
        heads = _take_layers(left, generator, static.shape[1])
        # The text tower's first set stands for a block that the published code gives no prompts.
        found[f"{place}.prompts.static"] = static[1:] if tower == "text" else static
        for leaf in ("weight", "bias"):
            joined = torch.cat([heads[f"{number}.{leaf}"] for number in range(static.shape[1])])
            found[f"{place}.prompts.generator.{leaf}"] = joined
        if len(joined) != static.shape[1] * static.shape[2]:
            width = len(joined) // static.shape[1]
            raise InputError(
                f"its layers '{generator}...' make tokens of {width} channels, its static ones have "
                f"{static.shape[2]}"
            )
    taps = sum(key.startswith(PATCHES) for key in left) // 2
    for name, tensor in _take_layers(left, PATCHES, taps).items():
        found[f"feature_adapter.patches.heads.{name}"] = tensor
    for name, tensor in _take_layers(left, IMAGE, 1).items():
        found[f"feature_adapter.image.{name.removeprefix('0.')}"] = tensor
    if left:
        raise InputError(f"it has '{PREFIX}{next(iter(left))}', which AdaCLIP's checkpoints have not")
    return found


def _static_prompts(left: dict[str, Tensor], prefix: str) -> Tensor:
    """Take the static prompts out of ``left``: [depth, length, D]."""
    keys = [f"{prefix}{number}" for number in range(sum(key.startswith(prefix) for key in left))]
    for key in keys or [f"{prefix}0"]:
        if key not in left:
            raise InputError(f"it lacks '{PREFIX}{key}'")
    sets = [left.pop(key) for key in keys]
    shapes = sorted({tuple(tokens.shape) for tokens in sets})
    if len(shapes) != 1 or len(shapes[0]) != 2:
        raise InputError(f"its '{PREFIX}{prefix}*' have the shapes {shapes} instead of one (tokens, width)")
    return torch.stack(sets).float()


def _take_layers(left: dict[str, Tensor], prefix: str, count: int) -> dict[str, Tensor]:
    """Take ``count`` linear layers out of ``left``."""
    named = {PREFIX + key: tensor for key, tensor in left.items()}
    layers = linear_layers(named, PREFIX + prefix, count)
    for name in layers:
        del left[prefix + name]
    return layers
