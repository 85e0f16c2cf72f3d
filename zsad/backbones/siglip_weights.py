"""The timm trunk of a SigLIP model of open_clip: plain blocks without class token, one pooling query."""

from __future__ import annotations

from typing import Any

from zsad.backbones.placement import Placement
from zsad.backbones.timm_weights import is_open, open_weights
from zsad.backbones.vision_values import VisionWeights
from zsad.recipe.profiles import Activation


def is_siglip(visual: Any) -> bool:
    """Whether an open_clip vision tower is SigLIP's."""
    trunk = getattr(visual, "trunk", None)
    return (
        trunk is not None
        and not len(visual.head)
        and is_open(trunk)
        and trunk.cls_token is None
        and trunk.reg_token is None
        and getattr(trunk, "attn_pool", None) is not None
    )


def siglip_weights(visual: Any, place: Placement) -> tuple[VisionWeights, Activation]:
    """Return the weights and native activation of a tower that :func:`is_siglip`."""
    return open_weights(visual.trunk, place)
