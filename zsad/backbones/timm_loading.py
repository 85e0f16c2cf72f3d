"""Load vision towers by timm, from a hub, from a local file, or with random weights."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import nn

from zsad.backbones.card import BackboneCard
from zsad.backbones.chance import seeded
from zsad.backbones.clip import ClipBackbone, state_digest
from zsad.backbones.hub import hub_errors
from zsad.backbones.names import BackboneName
from zsad.backbones.opaque import OpaqueWeights
from zsad.backbones.open_clip_weights import native_tower_profile
from zsad.backbones.placement import Placement
from zsad.backbones.timm_files import load_file
from zsad.backbones.timm_models import TimmPlan, doubt, plan_of
from zsad.backbones.timm_training import trained_on
from zsad.backbones.timm_weights import is_open, open_weights
from zsad.backbones.vision_values import VisionWeights
from zsad.errors import InputError, ZsadWarning
from zsad.recipe.profiles import TowerProfile


@dataclass(frozen=True)
class TimmModel:
    """A loaded model.

    Attributes:
        module: It itself, without classifier.
        plan: How it was built.
        card: What is known of its weights.
    """

    module: nn.Module
    plan: TimmPlan
    card: BackboneCard


def load_timm(name: BackboneName, device: torch.device, dtype: torch.dtype) -> ClipBackbone:
    """Load a timm model as a backbone without text.

    Raises:
        InputError: Unknown model or tag, unreadable file, weights of another architecture, or a model without
            features on a grid.
        ZsadError: The hub cannot be reached.
    """
    model = create_timm(name)
    if model.card.doubt is not None:
        warnings.warn(model.card.doubt, ZsadWarning, stacklevel=2)
    return from_timm(model, device, dtype)


def from_timm(model: TimmModel, device: torch.device, dtype: torch.dtype) -> ClipBackbone:
    """Build a backbone over the weights of a loaded model.

    An open tower's weights are views of the model's own wherever device and dtype agree and no LayerScale is
    folded into them; an opaque tower is the model itself, which is moved.

    Raises:
        InputError: The model gives no features on a grid.
    """
    module, plan = model.module.requires_grad_(False), model.plan
    loaded = next(module.parameters())
    moved = loaded.device != device or loaded.dtype != dtype
    # A moved backbone lets the loaded weights go, so their hash is taken now.
    known = state_digest(module.state_dict()) if moved else None
    precision = str(dtype).removeprefix("torch.")
    vision: VisionWeights | OpaqueWeights
    if is_open(module):
        vision, activation = open_weights(module, Placement(device, dtype))
        profile = native_tower_profile(activation, precision)  # timm resizes as open_clip does
    else:
        module = module.to(device=device, dtype=dtype)
        vision = OpaqueWeights(plan.name, module, plan.empty, plan.image_size)
        vision.shapes_at(plan.image_size, plan.image_size)  # refuses a model without a grid
        profile = _own_profile(precision)
    mean, std = plan.config.mean, plan.config.std
    return ClipBackbone(
        card=model.card,
        arch=plan.name,
        vision=vision,
        text=None,
        tokenizer=None,
        mean=(mean[0], mean[1], mean[2]),
        std=(std[0], std[1], std[2]),
        native_profile=profile,
        native_text_profile=None,
        digest=(lambda: known) if known is not None else (lambda: state_digest(module.state_dict())),
        device=device,
    )


def create_timm(name: BackboneName) -> TimmModel:
    """Return the timm model of a name, and what is known of its weights.

    Raises:
        InputError: Unknown model or tag, unreadable file, or weights of another architecture.
        ZsadError: The hub cannot be reached.
    """
    plan = plan_of(name)
    if name.seed is not None:
        with seeded(name.seed):
            module = plan.build()
        return TimmModel(module, plan, BackboneCard(name.text, "nothing: random weights, for timing only"))
    words, licence = trained_on(plan.config.tag or ""), plan.config.license or "not stated"
    if name.file is not None:
        module, plan = load_file(plan, name.file)
        known = f"{words} (file {name.file.name})" if plan.tag else f"not stated (file {name.file.name})"
        licence = licence if plan.tag else "not stated"
        return TimmModel(module, plan, BackboneCard(name.text, known, licence=licence, doubt=doubt(name)))
    if not plan.config.has_weights:
        raise InputError(
            f"timm has no weights of {plan.name}; name a file, {plan.name}@/path/to/file, or "
            f"{plan.name}@random:0 to time it"
        )
    with hub_errors(name.text, f"pass --backbone {plan.name}@/path/to/file"):
        module = plan.build(pretrained=True)
    return TimmModel(module, plan, BackboneCard(name.text, words, licence=licence))


def _own_profile(precision: str) -> TowerProfile:
    """Return the profile of a tower that computes everything itself."""
    return TowerProfile.model_validate({"activation": "own", "position_embedding": "own", "dtype": precision})
