"""From a timm vision transformer to the shared weights of an open tower, where zsad's blocks are its blocks.

Open are ``VisionTransformer`` (DINOv2, CLIP, SigLIP, plain, with or without class token and registers) and
``Eva`` with DINOv3's rotations or none. What these classes can have beyond that is checked for one by one.
timm's modules are ``Any`` here, as open_clip's are next door.
"""

from __future__ import annotations

from typing import Any

import torch
from timm.layers.patch_embed import PatchEmbed
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from zsad.backbones.attention_pool import AttentionPool
from zsad.backbones.average_pool import AveragePool
from zsad.backbones.placement import Placement
from zsad.backbones.rotation import Rotary
from zsad.backbones.timm_blocks import (
    all_identity,
    build_block,
    build_pool,
    is_layer_norm,
    is_plain_block,
    is_plain_pool,
    mlp_activation,
)
from zsad.backbones.vision_values import VisionWeights
from zsad.recipe.profiles import Activation


def is_open(model: Any) -> bool:
    """Whether a timm model is one that :func:`open_weights` can take apart."""
    if type(model) is VisionTransformer:
        plain = all(is_plain_block(block, "Block", "Attention") for block in model.blocks)
        positions = model.pos_embed is not None
    elif type(model).__name__ == "Eva":
        plain = all(is_plain_block(block, "EvaBlock", "EvaAttention") for block in model.blocks)
        positions = _is_dinov3_rope(model.rope) or (model.rope is None and model.pos_embed is not None)
    else:
        return False
    return (
        plain
        and positions
        and len({mlp_activation(block.mlp) for block in model.blocks}) == 1
        and _is_plain_patches(model.patch_embed)
        and all(is_layer_norm(norm) or all_identity(norm) for norm in (model.norm_pre, model.norm))
        and _has_known_pool(model)
    )


def open_weights(model: Any, place: Placement) -> tuple[VisionWeights, Activation]:
    """Return the weights and native activation of a model that :func:`is_open`."""
    activation = mlp_activation(model.blocks[0].mlp)
    assert activation is not None  # is_open has looked
    classes, registers, table = _places(model)
    weights = VisionWeights(
        patch_embedding=place.patches(model.patch_embed.proj.weight, model.patch_embed.proj.bias),
        class_embedding=None if classes is None else place.tensor(classes),
        position_embedding=None if table is None else place.tensor(table),
        native_grid=tuple(model.patch_embed.grid_size),
        ln_pre=place.norm(model.norm_pre),
        blocks=tuple(build_block(place, block, activation) for block in model.blocks),
        ln_post=place.norm(model.norm),
        projection=None,
        patch_size=model.patch_embed.patch_size[0],
        pool=_pool(model, place),
        registers=None if registers is None else place.tensor(registers),
        rotary=_rotary(model, place),
    )
    return weights, activation


def _places(model: Any) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Return class token [D], registers [R, D] and table of positions [0 or 1 + h * w, D], if there are any.

    timm's table has a row for each leading place, or for none; zsad's has one for the class token alone. What
    registers have of it is added to them, and a class token without a row gets one of zeros.
    """
    classes = None if model.cls_token is None else model.cls_token.detach()[0, 0]
    registers = None if model.reg_token is None else model.reg_token.detach()[0]
    if model.pos_embed is None:
        return classes, registers, None
    table = model.pos_embed.detach()[0]
    first = 0 if classes is None else 1
    if model.no_embed_class:
        return classes, registers, torch.cat([torch.zeros_like(table[:first]), table]) if first else table
    if registers is None:
        return classes, None, table
    behind = first + len(registers)
    return classes, registers + table[first:behind], torch.cat([table[:first], table[behind:]])


def _is_plain_patches(patches: Any) -> bool:
    return (
        type(patches) is PatchEmbed
        and isinstance(patches.proj, nn.Conv2d)
        and tuple(patches.proj.kernel_size) == tuple(patches.proj.stride) == tuple(patches.patch_size)
        and patches.patch_size[0] == patches.patch_size[1]
        and patches.proj.in_channels == 3
        and all_identity(patches.norm)
    )


def _is_dinov3_rope(rope: Any) -> bool:
    return (
        type(rope).__name__ == "RotaryEmbeddingDinoV3"
        and rope.rotate_half
        and rope.normalize_coords == "separate"
        and rope.grid_offset == 0
        and rope.grid_indexing == "ij"
    )


def _rotary(model: Any, place: Placement) -> Rotary | None:
    rope = getattr(model, "rope", None)
    if rope is None:
        return None
    dtype = torch.promote_types(place.dtype, torch.float32)
    return Rotary(rope.periods.detach().to(place.device, dtype))


def _has_known_pool(model: Any) -> bool:
    if getattr(model, "attn_pool", None) is not None:
        return (
            is_plain_pool(model.attn_pool)
            and mlp_activation(model.attn_pool.mlp) == mlp_activation(model.blocks[0].mlp)
            and not getattr(model, "pool_include_prefix", False)
            and all_identity(model.fc_norm)
        )
    if _reads_class_token(model):
        return all_identity(model.fc_norm)
    norm = is_layer_norm(model.fc_norm) or all_identity(model.fc_norm)
    return model.global_pool in ("avg", "") and not getattr(model, "pool_include_prefix", False) and norm


def _reads_class_token(model: Any) -> bool:
    """Whether the image feature is the class token.

    DINOv3's is, as published; timm's default for it is the mean of the patches.
    """
    if model.cls_token is None:
        return False
    return model.global_pool in ("token", "") or _is_dinov3_rope(getattr(model, "rope", None))


def _pool(model: Any, place: Placement) -> AttentionPool | AveragePool | None:
    if getattr(model, "attn_pool", None) is not None:
        activation = mlp_activation(model.attn_pool.mlp)
        assert activation is not None  # is_open has looked
        return build_pool(place, model.attn_pool, activation)
    if _reads_class_token(model):
        return None
    return AveragePool(place.norm(model.fc_norm), model.embed_dim)
