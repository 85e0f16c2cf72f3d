"""From the blocks and pools of timm's vision transformers to zsad's: what is plain, and the same over again.

timm's modules are ``Any`` here. Whatever a block has that zsad's has not is looked for by name, so that a
model with it becomes an opaque tower and never a wrong one.
"""

from __future__ import annotations

from typing import Any

import torch
from timm.layers.attention_pool import AttentionPoolLatent
from torch import Tensor, nn

from zsad.backbones.attention_pool import AttentionPool
from zsad.backbones.block import Block
from zsad.backbones.placement import Placement, activation_of
from zsad.errors import InputError
from zsad.recipe.profiles import Activation


def mlp_activation(mlp: Any) -> Activation | None:
    """Return the activation of an MLP that a block can hold, or None for another kind of MLP."""
    kind = type(mlp).__name__
    if not all_identity(getattr(mlp, "norm", nn.Identity())) or not isinstance(mlp.fc2, nn.Linear):
        return None
    if kind == "Mlp" and isinstance(mlp.fc1, nn.Linear):
        try:
            return activation_of(mlp.act)
        except InputError:
            return None
    gated = kind == "SwiGLU" or (kind == "GluMlp" and not mlp.gate_last and isinstance(mlp.fc1, nn.Linear))
    return "swiglu" if gated and isinstance(mlp.act, nn.SiLU) else None


def is_plain_block(block: Any, kind: str, attention: str) -> bool:
    """Whether a block is pre-norm attention and MLP, each with a residual and at most a LayerScale.

    Args:
        block: timm's.
        kind: Name of its class.
        attention: Name of its attention's class; timm has moved it.
    """
    attn: Any = getattr(block, "attn", None)
    norms = ("q_norm", "k_norm", "norm")
    return (
        type(block).__name__ == kind
        and type(attn).__name__ == attention
        and getattr(attn, "gate", None) is None
        and all_identity(*(getattr(attn, name, nn.Identity()) for name in norms))
        and attn.proj.in_features == attn.proj.out_features
        and all(type(scale).__name__ in ("Identity", "LayerScale") for scale in _scale_modules(block))
        and is_layer_norm(block.norm1)
        and is_layer_norm(block.norm2)
        and mlp_activation(block.mlp) is not None
    )


def build_block(place: Placement, source: Any, activation: Activation) -> Block:
    """Return a block over the weights of one that :func:`is_plain_block`.

    A LayerScale is folded into the layer before it, which in real numbers is the same.
    """
    q_proj, k_proj, v_proj = _projections(place, source.attn)
    first, second = _scales(source)
    hidden, bias = _first_layer(source.mlp)
    return Block(
        ln_1=place.layer_norm(source.norm1),
        q_proj=q_proj,
        k_proj=k_proj,
        v_proj=v_proj,
        out_proj=_scaled(place, source.attn.proj, first),
        ln_2=place.layer_norm(source.norm2),
        fc1=place.linear(hidden, bias),
        fc2=_scaled(place, source.mlp.fc2, second),
        heads=source.attn.num_heads,
        activation=activation,
    )


def is_plain_pool(pool: Any) -> bool:
    """Whether an attention pool is SigLIP's: one query, and a residual MLP behind it."""
    return (
        type(pool) is AttentionPoolLatent
        and pool.latent_len == 1
        and pool.pos_embed is None
        and pool.mlp is not None
        and isinstance(pool.q, nn.Linear)
        and all_identity(pool.q_norm, pool.k_norm, pool.mlp.norm)
        and mlp_activation(pool.mlp) not in (None, "swiglu")
    )


def build_pool(place: Placement, source: Any, activation: Activation) -> AttentionPool:
    """Return a pool over the weights of one that :func:`is_plain_pool`."""
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


def is_layer_norm(module: Any) -> bool:
    """Whether a module is a LayerNorm with weight and bias."""
    return isinstance(module, nn.LayerNorm) and module.weight is not None and module.bias is not None


def all_identity(*modules: Any) -> bool:
    """Whether modules do nothing."""
    return all(isinstance(module, nn.Identity) for module in modules)


def _scale_modules(block: Any) -> tuple[Any, Any]:
    return getattr(block, "ls1", nn.Identity()), getattr(block, "ls2", nn.Identity())


def _scales(block: Any) -> tuple[Tensor | None, Tensor | None]:
    """Return the factors behind attention and MLP, by either of timm's ways to keep them."""
    if hasattr(block, "gamma_1"):
        return block.gamma_1, block.gamma_2
    first, second = (getattr(scale, "gamma", None) for scale in _scale_modules(block))
    return first, second


def _scaled(place: Placement, layer: nn.Linear, scale: Tensor | None) -> nn.Linear:
    if scale is None:
        return place.linear(layer.weight, layer.bias)
    wide = torch.promote_types(
        layer.weight.dtype, place.dtype
    )  # a float64 tower's factors are no float32 ones
    factor = scale.detach().to(wide)
    bias = layer.bias.detach().to(wide) * factor if layer.bias is not None else None
    return place.linear(layer.weight.detach().to(wide) * factor[:, None], bias)


def _projections(place: Placement, attention: Any) -> list[nn.Linear]:
    """Return queries, keys and values of joint or separate projections, with whatever biases there are."""
    if attention.qkv is None:
        layers = (attention.q_proj, attention.k_proj, attention.v_proj)
        return [place.linear(layer.weight, layer.bias) for layer in layers]
    if getattr(attention, "q_bias", None) is None:
        return place.split(attention.qkv, 3)
    biases = (attention.q_bias, attention.k_bias, attention.v_bias)
    weights = attention.qkv.weight.chunk(3)
    return [place.linear(weight, bias) for weight, bias in zip(weights, biases, strict=True)]


def _first_layer(mlp: Any) -> tuple[Tensor, Tensor | None]:
    """Return weight and bias before the activation; a SwiGLU's two layers become one."""
    if type(mlp).__name__ != "SwiGLU":
        return mlp.fc1.weight, mlp.fc1.bias
    layers = (mlp.fc1_g, mlp.fc1_x)
    bias = None if mlp.fc1_g.bias is None else torch.cat([layer.bias.detach() for layer in layers])
    return torch.cat([layer.weight.detach() for layer in layers]), bias
