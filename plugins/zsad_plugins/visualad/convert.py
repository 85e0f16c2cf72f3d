"""Import the authors' checkpoint: two tokens, a norm, and one entry per tap for MLP and cross attention."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from zsad.backbones.tensors import levels
from zsad.errors import InputError
from zsad.weights.state import StateReader, reading

ATTENTION = "layer_attentions."


def convert(checkpoint: Any) -> dict[str, Tensor]:
    """Return the checkpoint's learned tensors under zsad's names; taps in the order of their blocks.

    Raises:
        InputError: Not a checkpoint of VisualAD.
    """
    outer = _outer(checkpoint)
    found: dict[str, Tensor] = {}
    own = {name: value for name, value in outer.items() if isinstance(value, Tensor)}
    with reading(own, "VisualAD") as state:
        found["attention_refiner.anomaly"] = state.take("anomaly_token", "width")
        found["attention_refiner.normal"] = state.take("normal_token", "width")
        for leaf in ("weight", "bias"):
            found[f"feature_adapter.ln_post.{leaf}"] = state.take(f"ln_post_{leaf}", "width")
        sizes = state.sizes
    names = _taps(outer["layer_transforms"])
    for tap, name in enumerate(names):
        with reading(outer["layer_transforms"][name], "VisualAD") as state:
            state.sizes.update(sizes)
            for mine, theirs in (("fc1", "mlp.0"), ("fc2", "mlp.3")):
                for leaf, tensor in state.layer(theirs, "width width").items():
                    found[f"feature_adapter.mlp.{tap}.{mine}.{leaf}"] = tensor
    with reading(outer["cross_attn"], "VisualAD") as state:
        state.sizes.update(sizes)
        for tap, name in enumerate(names):
            for leaf, tensor in _attention(state, f"{ATTENTION}{name}.").items():
                found[f"feature_adapter.attention.{tap}.{leaf}"] = tensor
    return found


def _outer(checkpoint: Any) -> dict[str, Any]:
    """Return the level of the checkpoint that holds its entries."""
    for level in levels(checkpoint):
        if all(isinstance(level.get(name), Mapping) for name in ("layer_transforms", "cross_attn")):
            return {str(name): value for name, value in level.items()}
    raise InputError(
        "it has no entries 'layer_transforms' and 'cross_attn', which VisualAD's checkpoints have"
    )


def _taps(transforms: Any) -> list[str]:
    """Return the names ``layer_6`` ... in the order of their blocks."""
    numbers = {}
    for name in transforms:
        match = re.fullmatch(r"layer_([0-9]+)", str(name))
        if match is None:
            raise InputError(
                f"it has a layer '{name}', where VisualAD's checkpoints have 'layer_6' and so on"
            )
        numbers[int(match[1])] = str(name)
    if not numbers:
        raise InputError("its entry 'layer_transforms' is empty")
    return [numbers[number] for number in sorted(numbers)]


def _attention(state: StateReader, prefix: str) -> dict[str, Tensor]:
    found = {
        "anchors": state.take(f"{prefix}anchor_queries", "anchors width"),
        "positions": state.take(f"{prefix}pos_encoding", "1 places width"),
        "residual": state.take(f"{prefix}res_scale", "1").reshape(1),
    }
    for name in ("q_proj", "k_proj", "v_proj"):
        found[f"{name}.weight"] = state.take(f"{prefix}{name}.weight", "width width")
    for mine, theirs, shape in (
        ("out_proj", "out_proj", "width width"),
        ("q_norm", "q_norm", "width"),
        ("k_norm", "k_norm", "width"),
        ("gate", "gate.0", "anchors width"),
    ):
        for leaf, tensor in state.layer(f"{prefix}{theirs}", shape).items():
            found[f"{mine}.{leaf}"] = tensor
    return found
