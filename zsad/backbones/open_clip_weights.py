"""From an open_clip module to shared weights: views of its parameters, its modules untouched.

open_clip carries no types, so its modules are ``Any`` here and nowhere else.
"""

from __future__ import annotations

from typing import Any

import open_clip
import torch
from open_clip.transformer import QuickGELU, ResidualAttentionBlock, TextTransformer, VisionTransformer
from torch import Tensor, nn

from zsad.backbones.block import Block
from zsad.backbones.profiles import Activation, TextProfile, TowerProfile
from zsad.backbones.text import TextWeights
from zsad.backbones.vision import VisionWeights
from zsad.errors import InputError


class _Placement:
    """Where weights go: views of the loaded parameters where device and dtype already agree."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self.device, self.dtype = device, dtype

    def tensor(self, value: Tensor) -> Tensor:
        return value.detach().to(self.device, self.dtype)

    def linear(self, weight: Tensor, bias: Tensor | None) -> nn.Linear:
        layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
        layer.weight = nn.Parameter(self.tensor(weight), requires_grad=False)
        if bias is not None:
            layer.bias = nn.Parameter(self.tensor(bias), requires_grad=False)
        return layer

    def norm(self, source: nn.Module) -> nn.Module:
        if not isinstance(source, nn.LayerNorm):
            return nn.Identity()
        layer = nn.LayerNorm(source.normalized_shape, eps=source.eps, device="meta")
        layer.weight = nn.Parameter(self.tensor(source.weight), requires_grad=False)
        layer.bias = nn.Parameter(self.tensor(source.bias), requires_grad=False)
        return layer

    def block(self, source: Any, activation: Activation) -> Block:
        if type(source) is not ResidualAttentionBlock or not isinstance(source.ls_1, nn.Identity):
            raise InputError(
                f"zsad does not know the block {type(source).__name__} of this open_clip model; "
                "use a model with plain pre-LN attention blocks (the ViT-B/L/H/g CLIP family)"
            )
        attention = source.attn
        q, k, v = attention.in_proj_weight.chunk(3)
        q_bias, k_bias, v_bias = attention.in_proj_bias.chunk(3)
        ln_1, ln_2 = self.norm(source.ln_1), self.norm(source.ln_2)
        assert isinstance(ln_1, nn.LayerNorm) and isinstance(ln_2, nn.LayerNorm)
        return Block(
            ln_1=ln_1,
            q_proj=self.linear(q, q_bias),
            k_proj=self.linear(k, k_bias),
            v_proj=self.linear(v, v_bias),
            out_proj=self.linear(attention.out_proj.weight, attention.out_proj.bias),
            ln_2=ln_2,
            fc1=self.linear(source.mlp.c_fc.weight, source.mlp.c_fc.bias),
            fc2=self.linear(source.mlp.c_proj.weight, source.mlp.c_proj.bias),
            heads=attention.num_heads,
            activation=activation,
        )


def _activation(block: Any) -> Activation:
    return "quick_gelu" if isinstance(block.mlp.gelu, QuickGELU) else "gelu"


def vision_weights(model: Any, device: torch.device, dtype: torch.dtype) -> tuple[VisionWeights, Activation]:
    """Return the vision tower's weights and native activation.

    Raises:
        InputError: The tower is not a ViT with a class token (a ResNet, a timm trunk, attention pooling).
    """
    visual = model.visual
    plain = (
        isinstance(visual, VisionTransformer)
        and visual.attn_pool is None
        and visual.pool_type == "tok"
        and isinstance(visual.patch_dropout, nn.Identity)
        and visual.proj is not None
    )
    if not plain:
        raise InputError(
            f"the vision tower {type(visual).__name__} has no plain class token; "
            "use a ViT of the CLIP family, for example ViT-B-16 or ViT-L-14-336"
        )
    place = _Placement(device, dtype)
    activation = _activation(visual.transformer.resblocks[0])
    convolution = nn.Conv2d(
        3, visual.conv1.out_channels, visual.conv1.kernel_size, visual.conv1.stride, bias=False, device="meta"
    )
    convolution.weight = nn.Parameter(place.tensor(visual.conv1.weight), requires_grad=False)
    weights = VisionWeights(
        patch_embedding=convolution,
        class_embedding=place.tensor(visual.class_embedding),
        position_embedding=place.tensor(visual.positional_embedding),
        native_grid=tuple(visual.grid_size),
        ln_pre=place.norm(visual.ln_pre),
        blocks=tuple(place.block(block, activation) for block in visual.transformer.resblocks),
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
    place = _Placement(device, dtype)
    blocks = text.transformer.resblocks
    activation = _activation(blocks[0])
    projection = text.text_projection
    linear = isinstance(projection, nn.Linear)
    matrix = projection.weight.T if linear else projection
    bias = projection.bias if linear else None
    weights = TextWeights(
        token_embedding=place.tensor(text.token_embedding.weight),
        position_embedding=place.tensor(text.positional_embedding),
        blocks=tuple(place.block(block, activation) for block in blocks),
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
    mean = getattr(model.visual, "image_mean", None) or open_clip.OPENAI_DATASET_MEAN
    std = getattr(model.visual, "image_std", None) or open_clip.OPENAI_DATASET_STD
    return (mean[0], mean[1], mean[2]), (std[0], std[1], std[2])
