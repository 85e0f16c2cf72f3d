"""Import the authors' checkpoint: queries and one aggregation block; the decoder is not read."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from zsad.weights.state import reading

BLOCK = "aggregation.0"
LAYERS = (
    ("norm1", "norm1", "width"),
    ("norm2", "norm2", "width"),
    ("q_proj", "attn.q", "width width"),
    ("out_proj", "attn.proj", "width width"),
    ("fc1", "mlp.fc1", "4*width width"),
    ("fc2", "mlp.fc2", "width 4*width"),
)
"""Names here and there, and the axes of the weight."""


def convert(checkpoint: Any) -> dict[str, Tensor]:
    """Return the checkpoint's tensors that the zero-shot mode reads, under zsad's names.

    Raises:
        InputError: Not a checkpoint of INP-Former.
    """
    with reading(checkpoint, "INP-Former") as state:
        found = {"scorer.queries": state.take("prototype_token", "prototypes width")}
        for mine, theirs, shape in LAYERS:
            for leaf, tensor in state.layer(f"{BLOCK}.{theirs}", shape).items():
                found[f"scorer.{mine}.{leaf}"] = tensor
        for leaf, both in state.layer(f"{BLOCK}.attn.kv", "2*width width").items():
            key, value = both.chunk(2)
            found |= {f"scorer.k_proj.{leaf}": key.clone(), f"scorer.v_proj.{leaf}": value.clone()}
        # Of the trained modes: the encoder's frozen weights, bottleneck and decoder.
        state.leave_out("encoder.", "bottleneck.", "decoder.")
    return found
