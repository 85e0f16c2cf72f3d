"""Import the authors' two checkpoints: ``{"text_adapter": ...}`` and ``{"image_adapter": ...}``."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from zsad.weights.state import reading

TEXT, ADAPTERS, SEG = "{}.fc.0.weight", "layer_adapters.{}.fc.0.weight", "seg_proj.{}.fc.weight"


def convert(first: Any, second: Any) -> dict[str, Tensor]:
    """Return the learned tensors of both files under zsad's names; which is which, their entries say.

    Raises:
        InputError: Not the two checkpoints of AA-CLIP.
    """
    both = {"first": first, "second": second}
    found: dict[str, Tensor] = {}
    with reading(both, "AA-CLIP", "text_adapter") as state:
        last = max(1, state.count(TEXT)) - 1
        for number in range(last):
            weight = state.take(TEXT.format(number), "text text")
            found[f"prompt_learner.adapters.{number}.linear.weight"] = weight
        found["prompt_learner.projection.weight"] = state.take(TEXT.format(last), "joint text")
        joint = state.sizes["joint"]
    with reading(both, "AA-CLIP", "image_adapter") as state:
        state.sizes["joint"] = joint
        for number in range(max(1, state.count(ADAPTERS))):
            weight = state.take(ADAPTERS.format(number), "vision vision")
            found[f"attention_refiner.adapters.{number}.linear.weight"] = weight
        for number in range(max(1, state.count(SEG))):
            found[f"feature_adapter.seg.{number}.weight"] = state.take(SEG.format(number), "joint vision")
        found["feature_adapter.det.weight"] = state.take("det_proj.fc.weight", "joint vision")
    return found
