"""Import the authors' checkpoint: ``{"Mymodel": state dict}``."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from zsad.weights.state import reading

GENERATORS = {"query": "Query_Generator", "key": "Key_Generator", "value": "Value_Generator.AttnBlock"}
"""The generators' names in ``dictas.lookup``, and there."""

LAYERS = {
    "norm": ("norm1", True),
    "q_proj": ("q_proj", False),
    "k_proj": ("k_proj", False),
    "v_proj": ("v_proj", False),
    "linear1": ("TwoLayerMLP.linear1", True),
    "linear2": ("TwoLayerMLP.linear2", True),
    "inner_norm": ("TwoLayerMLP.norm", True),
    "linear3": ("TwoLayerMLP.linear3", False),
}
"""Layers of a generator: their name there, and whether they have a bias."""


def convert(checkpoint: Any) -> dict[str, Tensor]:
    """Return the generators' tensors under zsad's names; what only training reads is left out.

    Raises:
        InputError: Not a checkpoint of DictAS.
    """
    found = {}
    with reading(checkpoint, "DictAS", "Mymodel") as state:
        state.leave_out("Fuse_Feature.")
        for new, old in GENERATORS.items():
            for layer, (name, bias) in LAYERS.items():
                shape = "width" if layer.endswith("norm") else "width width"
                for leaf, tensor in state.layer(f"{old}.{name}", shape, bias=bias).items():
                    found[f"scorer.{new}.{layer}.{leaf}"] = tensor
    return found
