"""Import the authors' checkpoint: ``{"prompt_learner": state dict}``."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from zsad.weights.state import reading

UNUSED = ("compound_prompt_projections.", "token_prefix_", "token_suffix_", "tokenized_prompts_")
"""Dead weights and copies of CLIP's own token embeddings."""

NET = {"linear1": "hidden inputs", "linear2": "width hidden"}


def convert(checkpoint: Any) -> dict[str, Tensor]:
    """Return the checkpoint's learned tensors under zsad's names.

    Raises:
        InputError: Not a checkpoint of FAPrompt.
    """
    with reading(checkpoint, "FAPrompt", "prompt_learner") as state:
        state.leave_out(*UNUSED)
        found = {
            "prompt_learner.context": state.take("ctx_pos", "1 1 tokens width"),
            "prompt_learner.abnormal": state.take("ctx_neg", "1 prompts own width"),
            "prompt_learner.deep": state.run("compound_prompts_text.{}", "deep width"),
        }
        for layer, shape in NET.items():
            for leaf, tensor in state.layer(f"patch_meta_net.{layer}", shape).items():
                found[f"prompt_conditioner.{layer}.{leaf}"] = tensor
        return found
