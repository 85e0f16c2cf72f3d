"""Files of weights for timm's models: under timm's names, or under those that timm itself can translate."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from timm.models import model_entrypoint
from torch import Tensor, nn

from zsad.backbones.open_clip_loading import read_state_dict
from zsad.backbones.tensors import check_shapes, check_state
from zsad.backbones.timm_models import TimmPlan
from zsad.errors import InputError

TABLES = ("pos_embed", "visual.positional_embedding", "visual.trunk.pos_embed", "visual.pos_embed")
"""Names under which files hold a table of positions."""


def load_file(plan: TimmPlan, path: Path) -> tuple[nn.Module, TimmPlan]:
    """Return the model with a file's weights, and the plan that it was built by.

    A table of positions on another grid than timm's default says what size the weights were trained on; the
    model is built for that size, where timm would resize the table.

    Raises:
        InputError: No file of tensors, or weights of another architecture.
    """
    state = read_state_dict(path)[0]
    empty = plan.empty()
    side = _image_size_of(state, empty)
    if side is not None and side != plan.image_size:
        with suppress(TypeError):  # from models of one size; what does not fit them is said below
            plan, empty = plan.at(side), plan.at(side).empty()
    expected = empty.state_dict()
    fixed = {key: expected[key] for key in sorted(expected) if key != "pos_embed"}
    check_shapes(state, fixed, str(path), plan.name)
    home = sys.modules[model_entrypoint(plan.arch).__module__]
    translate = getattr(home, "checkpoint_filter_fn", None)
    found = dict(state) if translate is None else translated(state, empty, translate, str(path), plan.name)
    found = _without_classifier(found, plan, expected)
    # Counts of batches, which nothing here reads, may be missing.
    needed = {
        key: value
        for key, value in expected.items()
        if key in found or not key.endswith("num_batches_tracked")
    }
    check_state(found, needed, str(path), plan.name)
    model = plan.build()
    model.load_state_dict(found, strict=False)  # what is missing by now is counted by batch norms alone
    return model, plan


def _image_size_of(state: Mapping[str, Tensor], model: Any) -> int | None:
    """Return the side in pixels that a table of positions was learned on, where it can be told."""
    table = next((state[key] for key in TABLES if key in state), None)
    if table is None or getattr(model, "pos_embed", None) is None or not hasattr(model, "patch_embed"):
        return None
    own = 0 if getattr(model, "no_embed_class", False) else int(getattr(model, "num_prefix_tokens", 0))
    # The official DINOv2 has a row for the class token, which timm's models with registers have not.
    leading = 1 if "register_tokens" in state or table.ndim == 2 else own
    count = table.shape[-2] - leading
    side = math.isqrt(max(count, 0))
    patch: int = model.patch_embed.patch_size[0]
    return side * patch if side and side * side == count else None


def translated(
    state: Mapping[str, Tensor], model: nn.Module, translate: Callable[..., Any], source: str, name: str
) -> dict[str, Tensor]:
    """Return a state under timm's names.

    Args:
        state: As it was read.
        model: The model, with or without weights.
        translate: timm's own filter for the model's family.
        source: What the state was read from, for messages.
        name: The model's name, for messages.

    Raises:
        InputError: timm's filter meets names that it does not know what to do with.
    """
    official = "register_tokens" in state or any(".mlp.w12." in key for key in state)
    if official and "mask_token" not in state:  # by which timm knows the official DINOv2's names
        state = {**state, "mask_token": torch.zeros(1)}
    try:
        found: dict[str, Tensor] = translate(dict(state), model)
    except (
        KeyError,
        RuntimeError,
        ValueError,
        AttributeError,
        TypeError,
        IndexError,
        AssertionError,
    ) as error:
        raise InputError(
            f"{source} does not hold the weights of {name}: timm cannot bring it into that model's form"
        ) from error
    found.pop("mask_token", None)  # read in training alone
    return found


def _without_classifier(
    state: Mapping[str, Tensor], plan: TimmPlan, expected: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    heads = plan.config.classifier or ()
    heads = (heads,) if isinstance(heads, str) else tuple(heads)
    dropped = {f"{head}.{name}" for head in heads for name in ("weight", "bias")} - set(expected)
    return {key: value for key, value in state.items() if key not in dropped}
