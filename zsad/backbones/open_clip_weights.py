"""From an open_clip module to shared weights: views of its parameters, its modules untouched.

open_clip carries no types, so its modules are ``Any`` here and nowhere else.
"""

from __future__ import annotations

from typing import Any

import open_clip
import torch
from open_clip.transformer import QuickGELU, ResidualAttentionBlock, TextTransformer, VisionTransformer
from torch import nn

from zsad.backbones.block import Block
from zsad.backbones.placement import Placement, activation_of
from zsad.backbones.siglip_weights import is_siglip, siglip_weights
from zsad.backbones.text import TextWeights
from zsad.backbones.vision_values import VisionWeights
from zsad.errors import InputError
from zsad.recipe.profiles import Activation, TextProfile, TowerProfile


def _block(place: Placement, source: Any, activation: Activation) -> Block:
    if type(source) is not ResidualAttentionBlock or not isinstance(source.ls_1, nn.Identity):
        raise InputError(
            f"zsad does not know the block {type(source).__name__} of this open_clip model; "
            "use a model with plain pre-LN attention blocks (the ViT-B/L/H/g CLIP family)"
        )
    attention = source.attn
    q, k, v = attention.in_proj_weight.chunk(3)
    q_bias, k_bias, v_bias = attention.in_proj_bias.chunk(3)
    return Block(
        ln_1=place.layer_norm(source.ln_1),
        q_proj=place.linear(q, q_bias),
        k_proj=place.linear(k, k_bias),
        v_proj=place.linear(v, v_bias),
        out_proj=place.linear(attention.out_proj.weight, attention.out_proj.bias),
        ln_2=place.layer_norm(source.ln_2),
        fc1=place.linear(source.mlp.c_fc.weight, source.mlp.c_fc.bias),
        fc2=place.linear(source.mlp.c_proj.weight, source.mlp.c_proj.bias),
        heads=attention.num_heads,
        activation=activation,
    )


def vision_weights(model: Any, device: torch.device, dtype: torch.dtype) -> tuple[VisionWeights, Activation]:
    """Return the vision tower's weights and native activation.

    Raises:
        InputError: The tower is neither a ViT with a class token nor SigLIP's (a ResNet, another trunk).
    """
    visual = model.visual
    place = Placement(device, dtype)
    if is_siglip(visual):
        return siglip_weights(visual, place)
    plain = (
        isinstance(visual, VisionTransformer)
        and visual.attn_pool is None
        and visual.pool_type == "tok"
        and isinstance(visual.patch_dropout, nn.Identity)
        and visual.proj is not None
    )
    if not plain:
        raise InputError(
            f"the vision tower {type(visual).__name__} has neither a plain class token nor "
            "SigLIP's attention pool; use a ViT of the CLIP or SigLIP family, for example ViT-B-16, "
            "ViT-L-14-336 or ViT-B-16-SigLIP"
        )
    activation = activation_of(visual.transformer.resblocks[0].mlp.gelu)
    weights = VisionWeights(
        patch_embedding=place.patches(visual.conv1.weight, None),
        class_embedding=place.tensor(visual.class_embedding),
        position_embedding=place.tensor(visual.positional_embedding),
        native_grid=tuple(visual.grid_size),
        ln_pre=place.norm(visual.ln_pre),
        blocks=tuple(_block(place, block, activation) for block in visual.transformer.resblocks),
        ln_post=place.norm(visual.ln_post),
        projection=place.tensor(visual.proj),
        patch_size=visual.patch_size[0],
    )
    return weights, activation


def text_weights(model: Any, device: torch.device, dtype: torch.dtype) -> tuple[TextWeights, TextProfile]:
    """Return the text tower's weights and native profile.

    Raises:
        InputError: The tower is not open_clip's own text transformer, pads and masks its texts, or reads
            its feature elsewhere than at CLIP's end token (causal) or the last place (not causal).
    """
    text: Any = model.text if hasattr(model, "text") else model
    if hasattr(model, "text") and not (
        isinstance(text, TextTransformer) and text.cls_emb is None and not text.use_pad_mask
    ):
        raise InputError(
            f"zsad does not know the text tower {type(text).__name__} of this open_clip model; "
            "use a model with CLIP's own text transformer"
        )
    causal = text.attn_mask is not None
    pooling = getattr(text, "text_pool_type", None) or getattr(text, "pool_type", None)
    if pooling != ("argmax" if causal else "last"):
        raise InputError(
            f"zsad does not read text features by '{pooling}' {'with' if causal else 'without'} a causal "
            "mask, as this open_clip model does; use a CLIP or SigLIP model with their own pooling"
        )
    place = Placement(device, dtype)
    blocks = text.transformer.resblocks
    activation = activation_of(blocks[0].mlp.gelu)
    projection = text.text_projection
    linear = isinstance(projection, nn.Linear)
    matrix = projection.weight.T if linear else projection
    bias = projection.bias if linear else None
    weights = TextWeights(
        token_embedding=place.tensor(text.token_embedding.weight),
        position_embedding=place.tensor(text.positional_embedding),
        blocks=tuple(_block(place, block, activation) for block in blocks),
        ln_final=place.norm(text.ln_final),
        projection=None if matrix is None else place.tensor(matrix),
        projection_bias=None if bias is None else place.tensor(bias),
    )
    profile = TextProfile(
        activation=activation,
        causal=causal,
        context_length=int(text.context_length),
    )
    return weights, profile


def native_tower_profile(activation: Activation, dtype: str) -> TowerProfile:
    """Return open_clip's own numerics: it resizes position embeddings bicubic with antialias."""
    return TowerProfile.model_validate(
        {"activation": activation, "position_embedding": "bicubic_antialias", "dtype": dtype}
    )


def normalisation(model: Any) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Return the channel means and deviations that the model was trained with."""
    visual = model.visual
    # Only open_clip's own loader writes them on the tower; a bare timm trunk knows its own.
    own: Any = getattr(getattr(visual, "trunk", None), "pretrained_cfg", None) or {}
    mean = getattr(visual, "image_mean", None) or own.get("mean") or open_clip.OPENAI_DATASET_MEAN
    std = getattr(visual, "image_std", None) or own.get("std") or open_clip.OPENAI_DATASET_STD
    return (mean[0], mean[1], mean[2]), (std[0], std[1], std[2])


def with_activation(model: Any, activation: Activation) -> Any:
    """Return a model of plain blocks with GELU or QuickGELU in all of them, changed in place."""
    for module in model.modules():
        if type(module) is ResidualAttentionBlock:
            module.mlp.gelu = QuickGELU() if activation == "quick_gelu" else nn.GELU()
    return model
