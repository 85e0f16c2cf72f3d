"""Load CLIP models by open_clip, from a hub, from a local file, or with random weights."""

from __future__ import annotations

import json
import warnings
import zipfile
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.convert import convert_state_dict
from open_clip.model import convert_to_custom_text_state_dict
from torch import Tensor, nn

from zsad.backbones.card import BackboneCard
from zsad.backbones.chance import seeded
from zsad.backbones.clip import ClipBackbone, state_digest
from zsad.backbones.hub import hub_errors
from zsad.backbones.names import BackboneName
from zsad.backbones.open_clip_weights import native_tower_profile, normalisation, text_weights, vision_weights
from zsad.backbones.pretrained import Triple, common_normalisation, doubt, quick_gelu_form, training_of
from zsad.backbones.tensors import check_state, read_tensors, state_in
from zsad.backbones.tokenizers import Tokenizer, tokenizer_of
from zsad.errors import InputError, ZsadWarning

OPENAI_DATA = "OpenAI's WIT (400 million image-text pairs)"
OPENAI_MARKS = {"input_resolution", "context_length", "vocab_size"}
"""Scalars that only OpenAI's own files hold; their weights were trained with QuickGELU."""


def load_open_clip(name: BackboneName, device: torch.device, dtype: torch.dtype) -> ClipBackbone:
    """Load an open_clip model as a backbone.

    Raises:
        InputError: Unknown tag, unreadable file, or weights of another architecture.
        ZsadError: The hub cannot be reached.
    """
    model, card = create_module(name)
    if card.doubt is not None:
        warnings.warn(card.doubt, ZsadWarning, stacklevel=2)
    return from_open_clip(model.eval(), name, card, device, dtype)


def from_open_clip(
    model: nn.Module,
    name: BackboneName,
    card: BackboneCard,
    device: torch.device,
    dtype: torch.dtype,
    tokenizer: Tokenizer | None = None,
) -> ClipBackbone:
    """Build a backbone over the weights of a loaded open_clip module, which stays as it is.

    Where device and dtype agree, every weight is a view of the module's own. Without ``tokenizer``, it is the
    one that the model's config names.
    """
    precision = str(dtype).removeprefix("torch.")
    moved = device.type != "cpu" or dtype != torch.float32
    # A moved backbone lets the loaded module go, so its hash is taken now.
    known = state_digest(model.state_dict()) if moved else None
    vision, activation = vision_weights(model, device, dtype)
    text, text_profile = text_weights(model, device, dtype)
    mean, std = normalisation(model)
    return ClipBackbone(
        card=card,
        arch=name.short,
        vision=vision,
        text=text,
        tokenizer=tokenizer or tokenizer_of(name, text_profile.context_length),
        mean=mean,
        std=std,
        native_profile=native_tower_profile(activation, precision),
        native_text_profile=text_profile,
        digest=(lambda: known) if known is not None else (lambda: state_digest(model.state_dict())),
        device=device,
    )


def create_module(name: BackboneName) -> tuple[nn.Module, BackboneCard]:
    """Return the open_clip module of a name, and what is known of its weights.

    Raises:
        InputError: Unknown tag, unreadable file, or weights of another architecture.
        ZsadError: The hub cannot be reached.
    """
    if name.seed is not None:
        with seeded(name.seed):
            model = _empty(name)
        return model, BackboneCard(name.text, "nothing: random weights, for timing only")
    if name.file is not None:
        return _from_file(name, name.file)
    quick_gelu: dict[str, bool] = {}
    if name.pretrained is not None:
        told = training_of(name.arch, name.pretrained)
        # The keyword decides; with the flag alone open_clip could not be told that it is GELU.
        quick_gelu = {"force_quick_gelu": told.quick_gelu, "quick_gelu": told.quick_gelu}
    where = f"{name.arch}:{name.pretrained}@/path/to/file" if name.pretrained else "ARCH@/path/to/file"
    with hub_errors(name.text, f"pass --backbone {where}"):
        model = open_clip.create_model(name.arch, pretrained=name.pretrained, **quick_gelu)
    return model, BackboneCard(name.text, f"see open_clip's entry for {name.text}")


def _from_file(name: BackboneName, file: Path) -> tuple[nn.Module, BackboneCard]:
    """Load local weights.

    Their activation and normalisation come from the tag or the file, as far as those say it, and else from
    the architecture, with a doubt on the card where its name does not tell.
    """
    told = training_of(name.arch, name.pretrained) if name.pretrained else None
    state, openai = read_state_dict(file)
    trained = f"not stated (file {file.name})"
    if openai:
        trained = OPENAI_DATA
        if told is not None and not told.quick_gelu:
            raise InputError(
                f"{file} is OpenAI's own file, whose weights were trained with QuickGELU, and not "
                f"{name.arch}:{name.pretrained}; leave the tag out"
            )
    elif told is not None:
        trained = f"see open_clip's entry for {name.arch}:{name.pretrained} (file {file.name})"
    model = _empty(name, quick_gelu=True if openai else told.quick_gelu if told else None)
    load_state(model, state, f"{file}", name.short)
    normalised = (told.mean, told.std) if told else None if openai else _normalisation_of(name)
    if normalised is not None:
        model.visual.image_mean, model.visual.image_std = normalised  # type: ignore[union-attr]
    known = openai or told is not None or name.config is not None
    return model, BackboneCard(name.text, trained, doubt=None if known else _doubt(name.arch, file))


def _normalisation_of(name: BackboneName) -> tuple[Triple, Triple] | None:
    return None if name.config else common_normalisation(name.arch)


def _doubt(arch: str, file: Path) -> str | None:
    """Return what a file of an architecture leaves open, in a sentence with its mend."""
    why = doubt(arch)
    if why is None:
        return None
    form = quick_gelu_form(arch)
    other = f", or {form}@{file} for OpenAI's weights and others with QuickGELU" if form else ""
    return (
        f"{file} does not say what activation its weights were trained with: {why}; name the weights, "
        f"{arch}:PRETRAINED@{file} ('zsad backbones info {arch}' lists them){other}"
    )


def _empty(name: BackboneName, quick_gelu: bool | None = None) -> nn.Module:
    """Return the architecture with freshly drawn weights."""
    config: dict[str, Any] = (
        json.loads(name.config.read_text()) if name.config else dict(open_clip.get_model_config(name.arch))
    )
    if quick_gelu is not None:
        config["quick_gelu"] = quick_gelu
    custom = config.pop("custom_text", False) or "hf_model_name" in config["text_cfg"]
    if config.pop("multimodal_cfg", None) is not None:
        raise InputError(f"{name.short} is a captioning model (CoCa); use a CLIP of the ViT family")
    kind = open_clip.CustomTextCLIP if custom else open_clip.CLIP
    try:
        model: nn.Module = kind(**config)
    except (TypeError, ValueError, AssertionError) as error:
        raise InputError(f"open_clip cannot build {name.short} from its config: {error}") from error
    return model


def read_state_dict(path: Path) -> tuple[dict[str, Tensor], bool]:
    """Read a state dict in safetensors, open_clip or OpenAI form; never by unrestricted pickle.

    Returns:
        The tensors, floating-point ones in float32, and whether the file is one of OpenAI's own.

    Raises:
        InputError: Not a state dict.
    """
    loaded = _archived(path) if _is_torchscript(path) else read_tensors(path)
    state = state_in(loaded)
    if not state:
        raise InputError(f"{path} holds no state dict of tensors")
    openai = set(state) >= OPENAI_MARKS
    tensors = {
        str(key): value.float() if value.is_floating_point() else value
        for key, value in state.items()
        if isinstance(value, Tensor) and key not in OPENAI_MARKS
    }
    return tensors, openai


def _archived(path: Path) -> dict[str, Tensor]:
    """Read OpenAI's own files: by TorchScript's restricted unpickler, and none of their code is run."""
    try:
        return dict(torch.jit.load(path, map_location="cpu").state_dict())  # type: ignore[no-untyped-call]
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"{path} is a damaged TorchScript archive; fetch the file again") from error


def _is_torchscript(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False  # whatever else it is, it is read or refused as that


def load_state(model: nn.Module, state: dict[str, Tensor], source: str, arch: str) -> None:
    """Load tensors into an open_clip module.

    Raises:
        InputError: Keys or shapes are those of another architecture.
    """
    state = convert_state_dict(model, state)
    if "positional_embedding" in state and not hasattr(model, "positional_embedding"):
        state = convert_to_custom_text_state_dict(state)
    expected = model.state_dict()
    state.pop("text.transformer.embeddings.position_ids", None)
    if "logit_scale" in state:
        state["logit_scale"] = state["logit_scale"].reshape(expected["logit_scale"].shape)
    check_state(state, expected, source, arch)
    model.load_state_dict(state)
