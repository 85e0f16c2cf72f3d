"""Import the authors' checkpoint: ``{"prompt_learner": state dict}``."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from zsad.weights.state import reading

UNUSED = ("compound_prompt_projections.", "token_prefix_", "token_suffix_", "tokenized_prompts_")
"""Dead weights and copies of CLIP's own token embeddings."""


def convert(checkpoint: Any) -> dict[str, Tensor]:
    """Return the checkpoint's learned tensors under zsad's names.

    Raises:
        InputError: Not a checkpoint of AnomalyCLIP.
    """
    with reading(checkpoint, "AnomalyCLIP", "prompt_learner") as state:
        # Crane's files have the same keys, apart from the unused projections.
        state.take("compound_prompt_projections.0.weight", "outputs inputs")
        state.leave_out(*UNUSED)
        return {
            "prompt_learner.context": state.stack(("ctx_pos", "ctx_neg"), "1 1 tokens width"),
            "prompt_learner.deep": state.run("compound_prompts_text.{}", "deep width"),
        }
