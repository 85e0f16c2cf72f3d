"""Import the authors' checkpoint: a flat dict of the learned tensors, under the prefix ``clip_model.``."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from zsad.weights.state import StateReader, reading

PLACES = {"visual": "attention_refiner", "text": "prompt_conditioner"}
"""Where the prompts of a tower go."""
PATCHES, IMAGE = "clip_model.patch_token_layer.head.{}", "clip_model.cls_token_layer.head.0"


def convert(checkpoint: Any) -> dict[str, Tensor]:
    """Return the checkpoint's learned tensors under zsad's names.

    Raises:
        InputError: Not a checkpoint of AdaCLIP with static and dynamic prompts in both towers.
    """
    found: dict[str, Tensor] = {}
    with reading(checkpoint, "AdaCLIP") as state:
        for tower, place in PLACES.items():
            for name, tensor in _prompts(state, tower).items():
                found[f"{place}.prompts.{name}"] = tensor
        for tap in range(max(1, state.count(f"{PATCHES}.weight"))):
            for leaf, tensor in state.layer(PATCHES.format(tap), "joint visual").items():
                found[f"feature_adapter.patches.heads.{tap}.{leaf}"] = tensor
        for leaf, tensor in state.layer(IMAGE, "joint joint").items():
            found[f"feature_adapter.image.{leaf}"] = tensor
    return found


def _prompts(state: StateReader, tower: str) -> dict[str, Tensor]:
    """Return the prompts of a tower, whose generator's layers, one per token, become one."""
    static = state.run(f"clip_model.{tower}_prompter.static_prompts.{{}}", f"{tower}-length {tower}")
    heads = [f"clip_model.dynamic_{tower}_prompt_generator.head.{token}" for token in range(static.shape[1])]
    weights = state.stack([f"{head}.weight" for head in heads], f"{tower} joint")
    biases = state.stack([f"{head}.bias" for head in heads], tower)
    return {
        # The text tower's first set stands for a block that the published code gives no prompts.
        "static": static[1:].clone() if tower == "text" else static,
        "generator.weight": weights.flatten(0, 1),
        "generator.bias": biases.flatten(),
    }
