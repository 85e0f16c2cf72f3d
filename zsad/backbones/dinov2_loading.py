"""Loads DINOv2: from a hub, a folder that transformers wrote, or a file under the official names."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zsad.backbones.card import BackboneCard
from zsad.backbones.clip import state_digest
from zsad.backbones.dinov2 import DinoV2
from zsad.backbones.dinov2_names import official_state
from zsad.backbones.downloads import check_download
from zsad.backbones.hub import hub_errors
from zsad.backbones.placement import Placement
from zsad.backbones.tensors import check_state
from zsad.errors import InputError

PUBLISHED = BackboneCard(
    "facebook/dinov2", "LVD-142M (142 million curated web images, without labels)", licence="Apache-2.0"
)

EPSILON = 1e-6
"""Of every LayerNorm, in the official code."""


def load_dinov2(
    name_or_folder: str,
    device: torch.device = torch.device("cpu"),  # noqa: B008 -- immutable
    dtype: torch.dtype = torch.float32,
) -> DinoV2:
    """Load a DINOv2.

    Args:
        name_or_folder: A hub name such as ``facebook/dinov2-with-registers-base``; a folder with config.json
            and model.safetensors; or a file (.pth, .safetensors) under the official code's key names.
        device: Where to put it.
        dtype: Precision to run it in.

    Raises:
        InputError: No such folder or file, not a DINOv2, or weights that are incomplete.
        ZsadError: The hub cannot be reached.
    """
    path = Path(name_or_folder).expanduser()
    if path.is_file():
        from zsad.backbones.open_clip_loading import read_state_dict  # open_clip takes seconds to import

        card = BackboneCard(name_or_folder, f"not stated (file {path.name})")
        return dinov2_from_official_state(read_state_dict(path)[0], card=card, device=device, dtype=dtype)
    if path.is_dir():
        card = BackboneCard(name_or_folder, f"not stated (folder {path.name})")
        return _load_folder(path, card, device, dtype)
    if not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", name_or_folder):
        raise InputError(
            f"there is no DINOv2 folder or file '{name_or_folder}' "
            "(a hub name looks like facebook/dinov2-with-registers-base)"
        )
    with hub_errors(name_or_folder, "give its folder instead of the name"):
        from huggingface_hub import snapshot_download

        wanted = ["config.json", "*.safetensors", "*.safetensors.index.json"]
        path = Path(snapshot_download(name_or_folder, allow_patterns=wanted))
    card = BackboneCard(name_or_folder, "not stated")
    if name_or_folder.startswith("facebook/dinov2-"):
        card = replace(PUBLISHED, name=name_or_folder)
    return _load_folder(path, card, device, dtype)


def dinov2_from_official_state(
    state: Mapping[str, Tensor],
    *,
    heads: int | None = None,
    epsilon: float = EPSILON,
    card: BackboneCard | None = None,
    device: torch.device = torch.device("cpu"),  # noqa: B008 -- immutable
    dtype: torch.dtype = torch.float32,
) -> DinoV2:
    """Build a DINOv2 from tensors under the official code's key names; the shapes tell its architecture.

    Args:
        state: ``cls_token``, ``pos_embed``, ``blocks.0.attn.qkv.weight`` and so on.
        heads: Attention heads; by default heads of 64 channels, as in every published model.
        epsilon: Of the LayerNorms.
        card: What is known of the weights.
        device: Where to put it.
        dtype: Precision to run it in.

    Raises:
        InputError: Keys or shapes are not those of a DINOv2.
    """
    from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn

    from zsad.backbones.timm_files import translated
    from zsad.backbones.timm_models import without_weights
    from zsad.backbones.timm_weights import open_weights

    card = card or BackboneCard("DINOv2", "not stated")
    options = _shape(state, card.name)
    options |= {"num_heads": heads or options["embed_dim"] // 64, "norm_layer": _norm(epsilon)}
    model = without_weights(partial(VisionTransformer, **options)).eval()
    # A float64 tower's sums and factors are no float32 ones.
    wide = {key: value.to(torch.promote_types(value.dtype, dtype)) for key, value in state.items()}
    found = translated(wide, model, checkpoint_filter_fn, card.name, "a DINOv2")
    check_state(found, model.state_dict(), card.name, "a DINOv2")
    model.load_state_dict(found, assign=True)
    weights, activation = open_weights(model, Placement(device, dtype))
    # Nothing reads the mask token. The hash is of the weights as they were loaded.
    hashed = {key: value for key, value in state.items() if key != "mask_token"}
    return DinoV2(weights, activation, card, partial(state_digest, hashed))


def _shape(state: Mapping[str, Tensor], name: str) -> dict[str, Any]:
    """Return what timm's vision transformer is made of, by the shapes of the official tensors."""
    needed = ("cls_token", "pos_embed", "patch_embed.proj.weight", "blocks.0.attn.qkv.weight", "norm.weight")
    missing = [key for key in needed if key not in state]
    swiglu = "blocks.0.mlp.w12.weight" in state
    first = "blocks.0.mlp.w12.weight" if swiglu else "blocks.0.mlp.fc1.weight"
    missing += [first] if first not in state else []
    if missing:
        raise InputError(
            f"{name} does not hold a DINOv2 under its official key names: it lacks '{missing[0]}'"
        )
    patch = state["patch_embed.proj.weight"]
    if patch.ndim != 4 or state["pos_embed"].ndim != 3:
        raise InputError(
            f"{name} does not hold a DINOv2: its patch embedding or positions have another shape"
        )
    from timm.layers.mlp import SwiGLUPacked

    width, registers = patch.shape[0], state.get("register_tokens")
    numbers = {int(found[1]) for key in state if (found := re.match(r"blocks\.(\d+)\.", key))}
    return {
        "img_size": math.isqrt(state["pos_embed"].shape[1] - 1) * patch.shape[-1],
        "patch_size": patch.shape[-1],
        "embed_dim": width,
        "depth": 1 + max(numbers),
        "mlp_ratio": (state[first].shape[0] + 0.5) / width,  # of which timm takes the whole channels
        "init_values": 1.0,
        "qkv_bias": "blocks.0.attn.qkv.bias" in state,
        "reg_tokens": 0 if registers is None else registers.shape[1],
        "no_embed_class": registers is not None,
        "num_classes": 0,
    } | ({"mlp_layer": SwiGLUPacked, "act_layer": torch.nn.SiLU} if swiglu else {})


def _norm(epsilon: float) -> Any:
    from timm.layers.norm import LayerNorm

    return partial(LayerNorm, eps=epsilon)


def _load_folder(folder: Path, card: BackboneCard, device: torch.device, dtype: torch.dtype) -> DinoV2:
    from zsad.backbones.tensors import read_tensors

    source = f"the folder {folder}"
    config, files = folder / "config.json", sorted(folder.glob("*.safetensors"))
    if not config.is_file():
        raise InputError(f"{source} holds no DINOv2: it has no config.json")
    if not files:
        raise InputError(
            f"{source} has no model.safetensors; other weight files are not read, because loading them can "
            "run code"
        )
    for path in files:
        check_download(path)
    try:
        told = json.loads(config.read_text())
        kind, heads = told["model_type"], int(told.get("num_attention_heads", 0)) or None
        epsilon, activation = float(told.get("layer_norm_eps", EPSILON)), told.get("hidden_act", "gelu")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{source} does not hold a readable DINOv2: its config.json is damaged") from error
    if kind not in ("dinov2", "dinov2_with_registers"):
        raise InputError(f"{source} holds a model of type {kind}, not a DINOv2")
    if activation != "gelu":
        raise InputError(
            f"{source} holds a DINOv2 with the activation {activation}, which zsad does not know"
        )
    state: dict[str, Tensor] = {}
    for path in files:
        state |= read_tensors(path)
    named = replace(card, name=source)
    tower = dinov2_from_official_state(
        official_state(state), heads=heads, epsilon=epsilon, card=named, device=device, dtype=dtype
    )
    tower.card = card
    return tower
