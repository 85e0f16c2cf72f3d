"""Import the authors' checkpoint: ``{"prompt_learner": state dict}``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from zsad.errors import InputError

_DEEP = "compound_prompts_text."
_UNUSED = ("projector", "extractor_", "vae_encoder.", "token_prefix_", "token_suffix_", "tokenized_prompts_")
"""What inference does not read. The published files lack most of it; other versions of the code save it."""

_LEARNER = ("ctx_pos", "ctx_neg")
_QUERIES = ("t_n", "t_a")
_ATTENTION = "extractor.attn.in_proj_"
_RENAMED = {
    "extractor.attn.out_proj": "extractor.out_proj",
    "extractor.ln_1": "extractor.ln_1",
    "extractor.ln_2": "extractor.ln_2",
    "extractor.mlp.c_fc": "extractor.fc1",
    "extractor.mlp.c_proj": "extractor.fc2",
    "vae_decoder.net.0": "decoder.fc1",
    "vae_decoder.net.2": "decoder.fc2",
}
"""Layers with a weight and a bias, by their names there and in ``cops.synthesis``."""
_KINDS = ("weight", "bias")


def convert(checkpoint: Any) -> dict[str, Tensor]:
    """Return the checkpoint's learned tensors under zsad's names.

    Args:
        checkpoint: What ``torch.load(..., weights_only=True)`` gave.

    Raises:
        InputError: Not a checkpoint of CoPS.
    """
    state = checkpoint.get("prompt_learner") if isinstance(checkpoint, Mapping) else None
    if not isinstance(state, Mapping):
        raise InputError("it has no entry 'prompt_learner', which CoPS's checkpoints have")
    layers = {
        f"{old}.{kind}": f"prompt_conditioner.{new}.{kind}"
        for old, new in _RENAMED.items()
        for kind in _KINDS
    }
    deep_keys = sorted((key for key in state if _is_deep(key)), key=lambda key: int(key[len(_DEEP) :]))
    attention = [_ATTENTION + kind for kind in _KINDS]
    needed = [*_LEARNER, *_QUERIES, *attention, *layers, f"{_DEEP}0"]
    for key in needed:
        if key not in state:
            raise InputError(f"its prompt learner lacks '{key}', which CoPS's has")
    for key in state:
        if key not in (*needed, *deep_keys) and not str(key).startswith(_UNUSED):
            raise InputError(f"its prompt learner has '{key}', which CoPS's has not")
    _check_shapes(state, deep_keys, [*layers])
    renamed = {new: state[old].float() for old, new in layers.items()}
    for kind, name in zip(_KINDS, attention, strict=True):
        for letter, rows in zip("qkv", state[name].float().chunk(3), strict=True):
            renamed[f"prompt_conditioner.extractor.{letter}_proj.{kind}"] = rows.clone()
    return {
        "prompt_learner.context": torch.stack([state[key][0, 0].float() for key in _LEARNER]),
        "prompt_learner.deep": torch.stack([state[key].float() for key in deep_keys]),
        # The normal state first.
        "prompt_conditioner.queries": torch.stack([state[key].float() for key in _QUERIES]),
        **renamed,
    }


def _is_deep(key: object) -> bool:
    return isinstance(key, str) and key.startswith(_DEEP) and key[len(_DEEP) :].isdecimal()


def _check_shapes(state: Mapping[str, Tensor], deep_keys: list[str], layers: list[str]) -> None:
    """Check every shape against the width of the context; None stands for any size."""
    width = state[_LEARNER[0]].shape[-1]
    expected: dict[str, tuple[int | None, ...]] = {
        **dict.fromkeys(_LEARNER, (1, 1, None, width)),
        **dict.fromkeys((*_QUERIES, *deep_keys), (None, width)),
        _ATTENTION + "weight": (3 * width, width),
        _ATTENTION + "bias": (3 * width,),
    }
    for key in layers:
        square = key.endswith("weight") and ".ln_" not in key
        expected[key] = (width, width) if square else (width,)
    for key, shape in expected.items():
        own = tuple(state[key].shape)
        fits = len(own) == len(shape) and all(
            want in (None, got) for want, got in zip(shape, own, strict=True)
        )
        if not fits:
            wanted = " x ".join("any" if size is None else str(size) for size in shape)
            raise InputError(f"'{key}' has the shape {own} instead of {wanted}")
    for keys in (_LEARNER, _QUERIES, deep_keys):
        shapes = {tuple(state[key].shape) for key in keys}
        if len(shapes) > 1:
            raise InputError(f"'{keys[0]}' and its like have different shapes: {sorted(shapes)}")
