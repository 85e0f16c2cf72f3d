"""Names of DINOv2's tensors: the official ones, those of the files on the hub, those of transformers."""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from zsad.backbones.clip import state_digest

_OFFICIAL_NAMES = (
    (r"cls_token|mask_token|register_tokens", r"embeddings.\g<0>"),
    (r"pos_embed", "embeddings.position_embeddings"),
    (r"patch_embed\.proj\.(\w+)", r"embeddings.patch_embeddings.projection.\1"),
    (r"norm\.(\w+)", r"layernorm.\1"),
    (r"blocks\.(\d+)\.(norm[12]\.\w+|mlp\.fc[12]\.\w+)", r"encoder.layer.\1.\2"),
    (r"blocks\.(\d+)\.attn\.proj\.(\w+)", r"encoder.layer.\1.attention.output.dense.\2"),
    (r"blocks\.(\d+)\.ls([12])\.gamma", r"encoder.layer.\1.layer_scale\2.lambda1"),
    (r"blocks\.(\d+)\.mlp\.w12\.(\w+)", r"encoder.layer.\1.mlp.weights_in.\2"),
    (r"blocks\.(\d+)\.mlp\.w3\.(\w+)", r"encoder.layer.\1.mlp.weights_out.\2"),
)
"""Official names and those of the files on the hub, which every version of transformers reads."""

_MODULE_NAMES = (
    (".attention.q_proj.", ".attention.attention.query."),
    (".attention.k_proj.", ".attention.attention.key."),
    (".attention.v_proj.", ".attention.attention.value."),
    (".attention.o_proj.", ".attention.output.dense."),
    (".mlp.down_proj.", ".mlp.weights_out."),
)
"""Names of transformers 5's modules and those of the files on the hub."""


def hub_tensors(key: str, value: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Yield an official tensor under the names of the files on the hub."""
    block = re.fullmatch(r"blocks\.(\d+)\.attn\.qkv\.(\w+)", key)
    if block:
        for name, part in zip(("query", "key", "value"), value.chunk(3), strict=True):
            yield f"encoder.layer.{block[1]}.attention.attention.{name}.{block[2]}", part
        return
    for pattern, name in _OFFICIAL_NAMES:
        found = re.fullmatch(pattern, key)
        if found:
            yield found.expand(name), value
            return
    yield key, value  # is refused as unknown when it is loaded


def weights_digest(model: nn.Module) -> str:
    """Hash the weights under the names of the hub's files, without the mask token, which nothing reads."""
    state = model.state_dict()
    named: dict[str, Tensor] = {}
    for key, value in state.items():
        if key.endswith("mask_token") or ".mlp.up_proj." in key:
            continue
        if ".mlp.gate_proj." in key:
            both = (value, state[key.replace("gate_proj", "up_proj")])
            named[key.replace("gate_proj", "weights_in")] = torch.cat(both)
            continue
        for module, file in _MODULE_NAMES:
            key = key.replace(module, file)
        named[key] = value
    return state_digest(named)
