"""Import the authors' checkpoint: ``{"prompt_learner": state dict}``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from zsad.errors import InputError

_CONTEXT = ("ctx_pos", "ctx_neg")
_DEEP = "compound_prompts_text."
_UNUSED = ("compound_prompt_projections.", "token_prefix_", "token_suffix_", "tokenized_prompts_")
"""Dead weights and copies of CLIP's own token embeddings."""


def convert(checkpoint: Any) -> dict[str, Tensor]:
    """Return the checkpoint's learned tensors under zsad's names.

    Args:
        checkpoint: What ``torch.load(..., weights_only=True)`` gave.

    Raises:
        InputError: Not a checkpoint of AnomalyCLIP.
    """
    state = checkpoint.get("prompt_learner") if isinstance(checkpoint, Mapping) else None
    if not isinstance(state, Mapping):
        raise InputError("it has no entry 'prompt_learner', which AnomalyCLIP's checkpoints have")
    deep_keys = sorted(
        (key for key in state if key.startswith(_DEEP)), key=lambda key: int(key[len(_DEEP) :])
    )
    # Crane's files have the same keys, apart from the unused projections.
    for key in (*_CONTEXT, f"{_DEEP}0", "compound_prompt_projections.0.weight"):
        if key not in state:
            raise InputError(f"its prompt learner lacks '{key}', which AnomalyCLIP's has")
    for key in state:
        if key not in (*_CONTEXT, *deep_keys) and not key.startswith(_UNUSED):
            raise InputError(f"its prompt learner has '{key}', which AnomalyCLIP's has not")
    context = torch.stack([_context(state, key) for key in _CONTEXT])
    shapes = {tuple(state[key].shape) for key in deep_keys}
    if len(shapes) != 1 or context.shape[-1] != next(iter(shapes))[-1]:
        width = context.shape[-1]
        raise InputError(f"its deep prompts have the shapes {sorted(shapes)} beside a context of {width}")
    deep = torch.stack([state[key].float() for key in deep_keys])
    return {"prompt_learner.context": context, "prompt_learner.deep": deep}


def _context(state: Mapping[str, Tensor], key: str) -> Tensor:
    tensor = state[key]
    if tensor.ndim != 4 or tensor.shape[:2] != (1, 1):
        raise InputError(f"'{key}' has the shape {tuple(tensor.shape)} instead of (1, 1, tokens, width)")
    return tensor[0, 0].float()
