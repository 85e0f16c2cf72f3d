"""Import the authors' checkpoint: the prompt's tensor, and the adaptor as a pickled module."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from zsad.errors import InputError
from zsad.weights.state import reading

LAYERS = {"to_q": "q_proj", "to_k": "k_proj", "to_v": "v_proj"}
"""Projections without bias: their names there and in ``af-clip.adapter``."""


def convert(prompt: Any, adaptor: Any) -> dict[str, Tensor]:
    """Return the learned tensors under zsad's names.

    Args:
        prompt: Content of the first file, one tensor.
        adaptor: Content of the second file, the tensors of the module by name.

    Raises:
        InputError: Not a checkpoint of AF-CLIP.
    """
    if not isinstance(prompt, Tensor):
        raise InputError("its first file holds no single tensor, as AF-CLIP's prompt does")
    with reading({"prompt": prompt}, "AF-CLIP") as state:
        found = {"prompt_learner.context": state.take("prompt", "1 tokens text")}
    with reading(adaptor, "AF-CLIP") as state:
        attention = "attention.attn"
        for old, new in LAYERS.items():
            found[f"feature_adapter.{new}.weight"] = state.take(f"{attention}.{old}.weight", "inner width")
        for leaf, tensor in state.layer(f"{attention}.to_out.0", "width inner").items():
            found[f"feature_adapter.out_proj.{leaf}"] = tensor
        for leaf, tensor in state.layer("attention.norm", "width").items():
            found[f"feature_adapter.norm.{leaf}"] = tensor
    return found
