"""Import the authors' checkpoint: ``{"prompt_learner": state dict}``."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from zsad.weights.state import reading

UNUSED = ("projector", "extractor_", "vae_encoder.", "token_prefix_", "token_suffix_", "tokenized_prompts_")
"""What inference does not read. The published files lack most of it; other versions of the code save it."""

LAYERS = {
    "extractor.attn.out_proj": ("extractor.out_proj", "width width"),
    "extractor.ln_1": ("extractor.ln_1", "width"),
    "extractor.ln_2": ("extractor.ln_2", "width"),
    "extractor.mlp.c_fc": ("extractor.fc1", "width width"),
    "extractor.mlp.c_proj": ("extractor.fc2", "width width"),
    "vae_decoder.net.0": ("decoder.fc1", "width width"),
    "vae_decoder.net.2": ("decoder.fc2", "width width"),
}
"""Layers with a weight and a bias: their names there and in ``cops.synthesis``, and the weight's shape."""


def convert(checkpoint: Any) -> dict[str, Tensor]:
    """Return the checkpoint's learned tensors under zsad's names.

    Raises:
        InputError: Not a checkpoint of CoPS.
    """
    with reading(checkpoint, "CoPS", "prompt_learner") as state:
        state.leave_out(*UNUSED)
        found = {
            "prompt_learner.context": state.stack(("ctx_pos", "ctx_neg"), "1 1 tokens width"),
            "prompt_learner.deep": state.run("compound_prompts_text.{}", "deep width"),
            # The normal state first.
            "prompt_conditioner.queries": state.stack(("t_n", "t_a"), "prototypes width"),
        }
        for old, (new, shape) in LAYERS.items():
            for kind, tensor in state.layer(old, shape).items():
                found[f"prompt_conditioner.{new}.{kind}"] = tensor
        for kind, shape in (("weight", "3*width width"), ("bias", "3*width")):
            joined = state.take(f"extractor.attn.in_proj_{kind}", shape)
            for letter, rows in zip("qkv", joined.chunk(3), strict=True):
                found[f"prompt_conditioner.extractor.{letter}_proj.{kind}"] = rows.clone()
    return found
