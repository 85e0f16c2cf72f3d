"""Import the authors' checkpoint: ``{"prompt_learner": state dict}``, the same for Crane and Crane+."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zsad.errors import InputError
from zsad.weights.state import StateReader, reading

WORDS = {"pos": (14115, 269, 49407), "neg": (13568, 14115, 269, 49407)}
"""CLIP's token ids of "object." and "damaged object.", with the end token."""


def convert(checkpoint: Any) -> dict[str, Tensor]:
    """Return the learned tensors and the fixed words' embeddings under zsad's names.

    Raises:
        InputError: Not a checkpoint of Crane.
    """
    # AnomalyCLIP's files have these keys too, and unused projections besides.
    with reading(checkpoint, "Crane", "prompt_learner") as state:
        context = state.stack(("ctx_pos", "ctx_neg"), "1 1 tokens width")
        deep = state.run("compound_prompts_text.{}", "deep width")
        words = torch.stack([_sentence(state, side) for side in WORDS])
    length = 1 + context.shape[1] + max(map(len, WORDS.values()))
    return {
        "prompt_learner.context": context,
        "prompt_learner.deep": deep,
        "prompt_learner.words": words[:, :length].clone(),
    }


def _sentence(state: StateReader, side: str) -> Tensor:
    """Return a sentence's embeddings [L, D] as stored, with zeros where the context goes."""
    ids = state.take(f"tokenized_prompts_{side}", "1 1 length")
    context, words = state.sizes["tokens"], WORDS[side]
    if tuple(ids[1 + context :][: len(words)].tolist()) != words:
        raise InputError(
            f"the sentence in 'tokenized_prompts_{side}' is not that of Crane's published prompts "
            f"({context} context tokens, then '{'object.' if side == 'pos' else 'damaged object.'}')"
        )
    state.sizes["rest"] = len(ids) - 1 - context
    start = state.take(f"token_prefix_{side}", "1 1 1 width")
    rest = state.take(f"token_suffix_{side}", "1 1 rest width")
    return torch.cat([start[None], start.new_zeros(context, len(start)), rest])
