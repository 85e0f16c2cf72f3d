"""Import the authors' checkpoint: ``{"filo": state dict}``, with all of CLIP in published files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from zsad.errors import InputError
from zsad_plugins.filo.mmci import KERNELS, fold

_UNUSED = ("clip_model.", "text_encoder.")
"""Frozen CLIP, which published files carry along."""
_LINEAR = re.compile(r"decoder_linear\.fc\.(\d+)\.(weight|bias)")
_CONVOLUTION = re.compile(rf"decoder_cov\.fc_({'|'.join(KERNELS)})\.(\d+)\.(weight|bias)")
_LEARNERS = {"normal": "normal_prompt_learner", "abnormal": "abnormal_prompt_learner"}
_ADAPTER = {"narrow": "adapter.fc.0.weight", "widen": "adapter.fc.2.weight"}
_NET = ("linear1.weight", "linear1.bias", "linear2.weight", "linear2.bias")


def convert(checkpoint: Any) -> dict[str, Tensor]:
    """Return the checkpoint's learned tensors under zsad's names, six kernels folded into one.

    Args:
        checkpoint: What ``torch.load(..., weights_only=True)`` gave.

    Raises:
        InputError: Not a checkpoint of FiLo.
    """
    state = checkpoint.get("filo") if isinstance(checkpoint, Mapping) else None
    if not isinstance(state, Mapping):
        raise InputError("it has no entry 'filo', which FiLo's checkpoints have")
    linear = 1 + max((int(found[1]) for key in state if (found := _LINEAR.fullmatch(key))), default=0)
    convolved = 1 + max((int(found[2]) for key in state if (found := _CONVOLUTION.fullmatch(key))), default=0)
    wanted = _keys(linear, convolved)
    for key in sorted(wanted):
        if not isinstance(state.get(key), Tensor):
            raise InputError(f"it lacks the tensor '{key}'")
    for key in state:
        if key not in wanted and not key.startswith(_UNUSED):
            raise InputError(f"it has '{key}', which FiLo's checkpoints have not")
    tensors = {key: state[key].float() for key in wanted}
    _check_shapes(tensors, linear, convolved)
    return _heads(tensors, linear, convolved) | _text(tensors)


def _keys(linear: int, convolved: int) -> set[str]:
    leaves = ("weight", "bias")
    return {
        *(f"decoder_linear.fc.{number}.{leaf}" for number in range(linear) for leaf in leaves),
        *(
            f"decoder_cov.fc_{kernel}.{number}.{leaf}"
            for kernel in KERNELS
            for number in range(convolved)
            for leaf in leaves
        ),
        *(f"{learner}.ctx" for learner in _LEARNERS.values()),
        *(f"{learner}.meta_net.{leaf}" for learner in _LEARNERS.values() for leaf in _NET),
        *_ADAPTER.values(),
    }


def _check_shapes(tensors: Mapping[str, Tensor], linear: int, convolved: int) -> None:
    first = tensors["decoder_linear.fc.0.weight"]
    if first.ndim != 2:
        raise InputError(f"'decoder_linear.fc.0.weight' has {first.ndim} axes instead of 2")
    joint, width = first.shape
    hidden = tensors["adapter.fc.0.weight"].shape[0]
    inner = tensors["normal_prompt_learner.meta_net.linear1.weight"].shape[0]
    context = tensors["normal_prompt_learner.ctx"]
    if context.ndim != 2:
        raise InputError(f"'normal_prompt_learner.ctx' has {context.ndim} axes instead of 2")
    text = context.shape[1]
    shapes: dict[str, tuple[int, ...]] = {
        "adapter.fc.0.weight": (hidden, joint),
        "adapter.fc.2.weight": (joint, hidden),
    }
    for number in range(linear):
        prefix = f"decoder_linear.fc.{number}"
        shapes |= {f"{prefix}.weight": (joint, width), f"{prefix}.bias": (joint,)}
    for kernel, sides in KERNELS.items():
        for number in range(convolved):
            prefix = f"decoder_cov.fc_{kernel}.{number}"
            shapes |= {f"{prefix}.weight": (joint, width, *sides), f"{prefix}.bias": (joint,)}
    for learner in _LEARNERS.values():
        shapes |= {f"{learner}.ctx": tuple(context.shape)}
        nets = ((inner, joint), (inner,), (text, inner), (text,))
        shapes |= {f"{learner}.meta_net.{leaf}": shape for leaf, shape in zip(_NET, nets, strict=True)}
    for key, shape in shapes.items():
        if tensors[key].shape != shape:
            raise InputError(f"'{key}' has the shape {tuple(tensors[key].shape)} instead of {shape}")


def _heads(tensors: Mapping[str, Tensor], linear: int, convolved: int) -> dict[str, Tensor]:
    found = {
        f"linear.{number}.{leaf}": tensors[f"decoder_linear.fc.{number}.{leaf}"]
        for number in range(linear)
        for leaf in ("weight", "bias")
    }
    for number in range(convolved):
        prefixes = [f"decoder_cov.fc_{kernel}.{number}" for kernel in KERNELS]
        found[f"convolution.{number}.weight"] = fold(tensors[f"{prefix}.weight"] for prefix in prefixes)
        biases = [tensors[f"{prefix}.bias"] for prefix in prefixes]
        found[f"convolution.{number}.bias"] = torch.stack(biases).sum(dim=0)
    found |= {f"{name}.weight": tensors[key] for name, key in _ADAPTER.items()}
    return {f"feature_adapter.{name}": tensor.contiguous() for name, tensor in found.items()}


def _text(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    contexts = [tensors[f"{learner}.ctx"] for learner in _LEARNERS.values()]
    nets = {
        f"prompt_conditioner.{state}.{leaf}": tensors[f"{learner}.meta_net.{leaf}"]
        for state, learner in _LEARNERS.items()
        for leaf in _NET
    }
    return {"prompt_learner.context": torch.stack(contexts), **nets}
