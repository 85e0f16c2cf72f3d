"""timm's models made small, under names of their own, and vision towers over them."""

from __future__ import annotations

from functools import partial
from typing import Any

import timm
import torch
from timm.models import generate_default_cfgs, register_model
from timm.models.vision_transformer import checkpoint_filter_fn
from torch import nn

from zsad.backbones.card import BackboneCard
from zsad.backbones.clip import ClipBackbone
from zsad.backbones.names import parse_backbone
from zsad.backbones.timm_loading import TimmModel, from_timm
from zsad.backbones.timm_models import plan_of

__all__ = ["checkpoint_filter_fn"]  # timm looks for it where a model is registered

TINY_DINOV2 = {"img_size": 168, "embed_dim": 192, "num_heads": 3}
"""The shape of the parity kits' DINOv2s."""


def _config(**changes: Any) -> dict[str, Any]:
    return {
        "url": "", "num_classes": 0, "input_size": (3, 168, 168), "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225), "first_conv": "patch_embed.proj", "classifier": "head", **changes,
    }  # fmt: skip


default_cfgs = generate_default_cfgs(
    {
        "zsad_dinov2_4": _config(),
        "zsad_dinov2_reg_12": _config(),
        "zsad_no_map": _config(),
        "zsad_grey": _config(input_size=(1, 168, 168)),
    }
)


@register_model
def zsad_dinov2_4(pretrained: bool = False, **options: Any) -> nn.Module:
    """Four blocks without registers."""
    return timm.create_model("vit_small_patch14_dinov2", **{**TINY_DINOV2, "depth": 4, **_own(options)})


@register_model
def zsad_dinov2_reg_12(pretrained: bool = False, **options: Any) -> nn.Module:
    """Twelve blocks with four registers."""
    return timm.create_model("vit_small_patch14_reg4_dinov2", **{**TINY_DINOV2, **_own(options)})


@register_model
def zsad_no_map(pretrained: bool = False, **options: Any) -> nn.Module:
    """A model of one vector per image."""
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4))
    return model


@register_model
def zsad_grey(pretrained: bool = False, **options: Any) -> nn.Module:
    """A model of grey images."""
    return nn.Sequential(nn.Conv2d(1, 4, 1))


def _own(options: dict[str, Any]) -> dict[str, Any]:
    passed_on = ("img_size", "depth", "num_classes", "dynamic_img_size")
    return {key: value for key, value in options.items() if key in passed_on}


def drawn(name: str, **options: Any) -> Any:
    """Return a timm model with all its values drawn, as initial ones would hide most of what it computes."""
    torch.manual_seed(0)
    model = timm.create_model(name, pretrained=False, num_classes=0, **options).eval()
    with torch.no_grad():
        for key, value in model.named_parameters():
            if "gamma" in key:
                value.copy_(torch.rand_like(value) + 0.5)
            elif value.ndim == 1 or "token" in key:
                value.add_(torch.randn_like(value) * 0.1)
    return model


def backbone_over(
    model: nn.Module, name: str, image_size: int, dtype: torch.dtype = torch.float32
) -> ClipBackbone:
    """Return a backbone over a model that has been made already."""
    plan = plan_of(parse_backbone(f"timm:{name}@random:0"))
    plan = plan if plan.image_size == image_size else plan.at(image_size)
    loaded = TimmModel(model, plan, BackboneCard(name, "nothing"))
    return from_timm(loaded, torch.device("cpu"), dtype)


dynamic = partial(drawn, dynamic_img_size=True)
