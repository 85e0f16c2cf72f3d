"""Import the authors' checkpoint: ``{"prompt_learner": state dict}``, the same for Crane and Crane+."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from zsad.errors import InputError

_SIDES = ("pos", "neg")
_DEEP = "compound_prompts_text."
_WORDS = {"pos": (14115, 269, 49407), "neg": (13568, 14115, 269, 49407)}
"""CLIP's token ids of "object." and "damaged object.", with the end token."""
_PER_SIDE = ("ctx_", "token_prefix_", "token_suffix_", "tokenized_prompts_")


def convert(checkpoint: Any) -> dict[str, Tensor]:
    """Return the learned tensors and the fixed words' embeddings under zsad's names.

    Args:
        checkpoint: What ``torch.load(..., weights_only=True)`` gave.

    Raises:
        InputError: Not a checkpoint of Crane.
    """
    state = checkpoint.get("prompt_learner") if isinstance(checkpoint, Mapping) else None
    if not isinstance(state, Mapping):
        raise InputError("it has no entry 'prompt_learner', which Crane's checkpoints have")
    wanted = [f"{name}{side}" for name in _PER_SIDE for side in _SIDES]
    count = sum(key.startswith(_DEEP) for key in state)
    deep_keys = [f"{_DEEP}{number}" for number in range(max(count, 1))]
    for key in (*wanted, *deep_keys):
        if not isinstance(state.get(key), Tensor):
            raise InputError(f"its prompt learner lacks '{key}', which Crane's has")
    # AnomalyCLIP's files have these keys too, and unused projections besides.
    for key in state:
        if key not in wanted and key not in deep_keys:
            raise InputError(f"its prompt learner has '{key}', which Crane's has not")
    contexts = [_rows(state, f"ctx_{side}") for side in _SIDES]
    if contexts[0].shape != contexts[1].shape:
        lengths = " and ".join(str(len(entry)) for entry in contexts)
        raise InputError(f"its prompts have contexts of {lengths} tokens, which have to be alike")
    context = torch.stack(contexts)
    words = [_sentence(state, side, context.shape[1]) for side in _SIDES]
    length = max(_end(state, side) for side in _SIDES) + 1
    deep = [state[key].float() for key in deep_keys]
    widths = {tensor.shape[-1] for tensor in (context, *words, *deep)}
    shapes = {tuple(tensor.shape) for tensor in deep}
    if len(widths) != 1 or len(shapes) != 1 or deep[0].ndim != 2:
        raise InputError(
            f"its deep prompts have the shapes {sorted(shapes)} beside a context of {context.shape[-1]}"
        )
    return {
        "prompt_learner.context": context,
        "prompt_learner.deep": torch.stack(deep),
        "prompt_learner.words": torch.stack([sentence[:length] for sentence in words]),
    }


def _end(state: Mapping[str, Tensor], side: str) -> int:
    """Return the place of the end token, the largest id of a sentence."""
    return int(state[f"tokenized_prompts_{side}"].flatten().argmax())


def _rows(state: Mapping[str, Tensor], key: str) -> Tensor:
    tensor = state[key]
    if tensor.ndim != 4 or tensor.shape[:2] != (1, 1):
        raise InputError(f"'{key}' has the shape {tuple(tensor.shape)} instead of (1, 1, tokens, width)")
    return tensor[0, 0].float()


def _sentence(state: Mapping[str, Tensor], side: str, context: int) -> Tensor:
    """Return a sentence's embeddings [L, D] as stored, with zeros where the context goes."""
    ids = state[f"tokenized_prompts_{side}"].flatten()
    own = _WORDS[side]
    if tuple(ids[1 + context : 1 + context + len(own)].tolist()) != own:
        raise InputError(
            f"the sentence in 'tokenized_prompts_{side}' is not that of Crane's published prompts "
            f"({context} context tokens, then '{'object.' if side == 'pos' else 'damaged object.'}')"
        )
    start, rest = _rows(state, f"token_prefix_{side}"), _rows(state, f"token_suffix_{side}")
    if len(start) != 1 or len(start) + context + len(rest) != len(ids) or start.shape[1] != rest.shape[1]:
        raise InputError(
            f"'token_prefix_{side}' and 'token_suffix_{side}' have the shapes {tuple(start.shape)} and "
            f"{tuple(rest.shape)}, which with {context} context tokens do not make {len(ids)} tokens"
        )
    return torch.cat([start, start.new_zeros(context, start.shape[1]), rest])
