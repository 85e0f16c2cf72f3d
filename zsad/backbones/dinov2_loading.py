"""Loads DINOv2: from a hub, a folder that transformers wrote, or a file under the official names."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from zsad.backbones.card import BackboneCard
from zsad.backbones.dinov2 import DinoV2
from zsad.backbones.dinov2_names import hub_tensors
from zsad.backbones.downloads import check_download
from zsad.backbones.hub import hub_errors
from zsad.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PUBLISHED = BackboneCard(
    "facebook/dinov2", "LVD-142M (142 million curated web images, without labels)", licence="Apache-2.0"
)


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
        return _load_folder(
            path, BackboneCard(name_or_folder, f"not stated (folder {path.name})"), device, dtype
        )
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
    card: BackboneCard | None = None,
    device: torch.device = torch.device("cpu"),  # noqa: B008 -- immutable
    dtype: torch.dtype = torch.float32,
) -> DinoV2:
    """Build a DINOv2 from tensors under the official code's key names; the shapes tell its architecture.

    Args:
        state: ``cls_token``, ``pos_embed``, ``blocks.0.attn.qkv.weight`` and so on.
        heads: Attention heads; by default heads of 64 channels, as in every published model.
        card: What is known of the weights.
        device: Where to put it.
        dtype: Precision to run it in.

    Raises:
        InputError: Keys or shapes are not those of a DINOv2.
    """
    card = card or BackboneCard("DINOv2", "not stated")
    needed = ("cls_token", "pos_embed", "patch_embed.proj.weight", "blocks.0.attn.qkv.weight", "norm.weight")
    missing = [key for key in needed if key not in state]
    if missing:
        raise InputError(
            f"{card.name} does not hold a DINOv2 under its official key names: it lacks '{missing[0]}'"
        )
    patch = state["patch_embed.proj.weight"]
    registers = state["register_tokens"].shape[1] if "register_tokens" in state else 0
    swiglu = "blocks.0.mlp.w12.weight" in state
    options: dict[str, Any] = {
        "hidden_size": patch.shape[0],
        "num_hidden_layers": 1
        + max(int(key.split(".")[1]) for key in state if re.match(r"blocks\.\d+\.", key)),
        "num_attention_heads": heads or patch.shape[0] // 64,
        # A SwiGLU keeps two thirds of the nominal ratio of 4.
        "mlp_ratio": 4 if swiglu else state["blocks.0.mlp.fc1.weight"].shape[0] // patch.shape[0],
        "use_swiglu_ffn": swiglu,
        "patch_size": patch.shape[-1],
        "image_size": math.isqrt(state["pos_embed"].shape[1] - 1) * patch.shape[-1],
        "layer_norm_eps": 1e-6,
    }
    named = {name: tensor for key, value in state.items() for name, tensor in hub_tensors(key, value)}
    named.setdefault("embeddings.mask_token", torch.zeros(1, patch.shape[0]))  # read in training alone
    with _readable(card.name):
        model = _complete(lambda: _from_tensors(options, registers, named), card.name)
    return DinoV2(model, card, device, dtype)


def _load_folder(folder: Path, card: BackboneCard, device: torch.device, dtype: torch.dtype) -> DinoV2:
    source = f"the folder {folder}"
    if not (folder / "config.json").is_file():
        raise InputError(f"{source} holds no DINOv2: it has no config.json")
    if not any(folder.glob("*.safetensors")):
        raise InputError(
            f"{source} has no model.safetensors; other weight files are not read, because loading them can "
            "run code"
        )
    for path in sorted(folder.glob("*.safetensors")):
        check_download(path)
    with _readable(source):
        model = _complete(lambda: _from_folder(folder), source)
    return DinoV2(model, card, device, dtype)


@contextmanager
def _readable(source: str) -> Iterator[None]:
    """Say in one sentence that local weights cannot be read.

    Raises:
        InputError: Instead of what the libraries raise for damaged files and shapes that do not fit.
    """
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise InputError(f"{source} does not hold a readable DINOv2: {reason}") from error


def _complete(load: Callable[[], tuple[PreTrainedModel, Mapping[str, Any]]], source: str) -> PreTrainedModel:
    """Load without transformers' messages, and refuse weights that do not fill the model exactly.

    Raises:
        InputError: Weights are missing, unknown, or of another shape.
    """
    with _quiet():
        model, info = load()
    problems = {
        "lacks": sorted(info["missing_keys"]),
        "has the unknown": sorted(info["unexpected_keys"]),
        "has another shape of": sorted(str(key) for key in info["mismatched_keys"]),
    }
    for what, keys in problems.items():
        if keys:
            raise InputError(f"{source} does not hold the weights of a DINOv2: it {what} '{keys[0]}'")
    return model


def _from_folder(folder: Path) -> tuple[PreTrainedModel, Mapping[str, Any]]:
    from transformers import AutoConfig, Dinov2Model, Dinov2WithRegistersModel

    config = AutoConfig.from_pretrained(folder)
    kinds: dict[str, Any] = {"dinov2": Dinov2Model, "dinov2_with_registers": Dinov2WithRegistersModel}
    if config.model_type not in kinds:
        raise InputError(f"the folder {folder} holds a model of type {config.model_type}, not a DINOv2")
    loaded: tuple[PreTrainedModel, Mapping[str, Any]] = kinds[config.model_type].from_pretrained(
        folder, config=config, use_safetensors=True, output_loading_info=True
    )
    return loaded


def _from_tensors(
    options: Mapping[str, Any], registers: int, state: Mapping[str, Tensor]
) -> tuple[PreTrainedModel, Mapping[str, Any]]:
    import transformers

    kind: Any = transformers.Dinov2Model
    config: Any = transformers.Dinov2Config(**options)
    if registers:
        kind = transformers.Dinov2WithRegistersModel
        config = transformers.Dinov2WithRegistersConfig(**options, num_register_tokens=registers)
    loaded: tuple[PreTrainedModel, Mapping[str, Any]] = kind.from_pretrained(
        None, config=config, state_dict=dict(state), output_loading_info=True
    )
    return loaded


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence transformers' loading bars and reports: what matters of them is said as an error."""
    from transformers.utils import logging as transformers_logging

    logging: Any = transformers_logging  # has no types
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
