"""From the timm trunk of a SigLIP model to shared weights: views of its parameters, its modules untouched.

timm's modules are ``Any`` here, as open_clip's are next door.
"""

from __future__ import annotations

from typing import Any

from timm.layers.attention_pool import AttentionPoolLatent
from timm.models.vision_transformer import Block as TimmBlock
from timm.models.vision_transformer import VisionTransformer as TimmVisionTransformer
from torch import nn

from zsad.backbones.attention_pool import AttentionPool
from zsad.backbones.block import Block
from zsad.backbones.placement import Placement, activation_of
from zsad.backbones.vision import VisionWeights
from zsad.recipe.profiles import Activation


def is_siglip(visual: Any) -> bool:
    """Whether an open_clip vision tower is SigLIP's: plain blocks without class token, one pooling query."""
    trunk = getattr(visual, "trunk", None)
    if type(trunk) is not TimmVisionTransformer or len(visual.head):
        return False
    plain = (trunk.patch_embed.norm, trunk.patch_drop, trunk.fc_norm, trunk.head)
    return (
        trunk.cls_token is None
        and getattr(trunk, "reg_token", None) is None
        and trunk.pos_embed is not None
        and _all_identity(*plain)
        and isinstance(trunk.norm, nn.LayerNorm)
        and all(_is_plain_block(block) for block in trunk.blocks)
        and _is_plain_pool(trunk.attn_pool)
    )


def siglip_weights(visual: Any, place: Placement) -> tuple[VisionWeights, Activation]:
    """Return the weights and native activation of a tower that :func:`is_siglip`."""
    trunk = visual.trunk
    activation = activation_of(trunk.blocks[0].mlp.act)
    weights = VisionWeights(
        patch_embedding=place.patches(trunk.patch_embed.proj.weight, trunk.patch_embed.proj.bias),
        class_embedding=None,
        position_embedding=place.tensor(trunk.pos_embed)[0],
        native_grid=tuple(trunk.patch_embed.grid_size),
        ln_pre=place.norm(trunk.norm_pre),
        blocks=tuple(_block(place, block, activation) for block in trunk.blocks),
        ln_post=place.norm(trunk.norm),
        projection=None,
        patch_size=trunk.patch_embed.patch_size[0],
        pool=_pool(place, trunk.attn_pool, activation),
    )
    return weights, activation


def _block(place: Placement, source: Any, activation: Activation) -> Block:
    attention, mlp = source.attn, source.mlp
    q_proj, k_proj, v_proj = place.split(attention.qkv, 3)
    return Block(
        ln_1=place.layer_norm(source.norm1),
        q_proj=q_proj,
        k_proj=k_proj,
        v_proj=v_proj,
        out_proj=place.linear(attention.proj.weight, attention.proj.bias),
        ln_2=place.layer_norm(source.norm2),
        fc1=place.linear(mlp.fc1.weight, mlp.fc1.bias),
        fc2=place.linear(mlp.fc2.weight, mlp.fc2.bias),
        heads=attention.num_heads,
        activation=activation,
    )


def _pool(place: Placement, source: Any, activation: Activation) -> AttentionPool:
    k_proj, v_proj = place.split(source.kv, 2)
    return AttentionPool(
        latent=place.tensor(source.latent)[0],
        q_proj=place.linear(source.q.weight, source.q.bias),
        k_proj=k_proj,
        v_proj=v_proj,
        out_proj=place.linear(source.proj.weight, source.proj.bias),
        norm=place.norm(source.norm),
        fc1=place.linear(source.mlp.fc1.weight, source.mlp.fc1.bias),
        fc2=place.linear(source.mlp.fc2.weight, source.mlp.fc2.bias),
        heads=source.num_heads,
        activation=activation,
    )


def _is_plain_block(block: Any) -> bool:
    return (
        type(block) is TimmBlock
        and type(block.attn).__name__ == "Attention"  # timm has moved it
        and getattr(block.attn, "gate", None) is None
        and _all_identity(block.ls1, block.ls2, block.attn.q_norm, block.attn.k_norm, block.mlp.norm)
        and _all_identity(getattr(block.attn, "norm", nn.Identity()))  # newer than the oldest timm
        and isinstance(block.norm1, nn.LayerNorm)
        and isinstance(block.norm2, nn.LayerNorm)
    )


def _is_plain_pool(pool: Any) -> bool:
    return (
        type(pool) is AttentionPoolLatent
        and pool.latent_len == 1
        and pool.pos_embed is None
        and pool.mlp is not None
        and isinstance(pool.q, nn.Linear)
        and _all_identity(pool.q_norm, pool.k_norm, pool.mlp.norm)
    )


def _all_identity(*modules: Any) -> bool:
    return all(isinstance(module, nn.Identity) for module in modules)
