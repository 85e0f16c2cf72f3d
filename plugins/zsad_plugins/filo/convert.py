"""Import the authors' checkpoint: ``{"filo": state dict}``, with all of CLIP in published files."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zsad.weights.state import StateReader, reading
from zsad_plugins.filo.mmci import KERNELS, fold

UNUSED = ("clip_model.", "text_encoder.")
"""Frozen CLIP, which published files carry along."""


def convert(checkpoint: Any) -> dict[str, Tensor]:
    """Return the checkpoint's learned tensors under zsad's names, six kernels folded into one.

    Raises:
        InputError: Not a checkpoint of FiLo.
    """
    with reading(checkpoint, "FiLo", "filo") as state:
        state.leave_out(*UNUSED)
        heads = {f"feature_adapter.{name}": tensor for name, tensor in _heads(state).items()}
        return heads | _text(state)


def _heads(state: StateReader) -> dict[str, Tensor]:
    found = {}
    for number in range(max(1, state.count("decoder_linear.fc.{}.weight"))):
        for leaf, tensor in state.layer(f"decoder_linear.fc.{number}", "joint width").items():
            found[f"linear.{number}.{leaf}"] = tensor
    for number in range(max(1, state.count("decoder_cov.fc_11.{}.weight"))):
        layers = [
            state.layer(f"decoder_cov.fc_{kernel}.{number}", f"joint width {height} {width}")
            for kernel, (height, width) in KERNELS.items()
        ]
        found[f"convolution.{number}.weight"] = fold(layer["weight"] for layer in layers)
        found[f"convolution.{number}.bias"] = torch.stack([layer["bias"] for layer in layers]).sum(dim=0)
    found["narrow.weight"] = state.take("adapter.fc.0.weight", "narrow joint")
    found["widen.weight"] = state.take("adapter.fc.2.weight", "joint narrow")
    return found


def _text(state: StateReader) -> dict[str, Tensor]:
    found = {
        "prompt_learner.context": state.stack(
            ("normal_prompt_learner.ctx", "abnormal_prompt_learner.ctx"), "tokens text"
        )
    }
    for net in ("normal", "abnormal"):
        for layer, shape in {"linear1": "hidden joint", "linear2": "text hidden"}.items():
            for leaf, tensor in state.layer(f"{net}_prompt_learner.meta_net.{layer}", shape).items():
                found[f"prompt_conditioner.{net}.{layer}.{leaf}"] = tensor
    return found
