"""Names of DINOv2's tensors: from those of transformers' files to the official ones."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

_OFFICIAL_NAMES = (
    (r"embeddings\.(cls_token|mask_token|register_tokens)", r"\1"),
    (r"embeddings\.position_embeddings", "pos_embed"),
    (r"embeddings\.patch_embeddings\.projection\.(\w+)", r"patch_embed.proj.\1"),
    (r"layernorm\.(\w+)", r"norm.\1"),
    (r"encoder\.layer\.(\d+)\.(norm[12]\.\w+|mlp\.fc[12]\.\w+)", r"blocks.\1.\2"),
    (r"encoder\.layer\.(\d+)\.attention\.(?:output\.dense|o_proj)\.(\w+)", r"blocks.\1.attn.proj.\2"),
    (r"encoder\.layer\.(\d+)\.layer_scale([12])\.lambda1", r"blocks.\1.ls\2.gamma"),
    (r"encoder\.layer\.(\d+)\.mlp\.weights_in\.(\w+)", r"blocks.\1.mlp.w12.\2"),
    (r"encoder\.layer\.(\d+)\.mlp\.(?:weights_out|down_proj)\.(\w+)", r"blocks.\1.mlp.w3.\2"),
)
"""Names of the files on the hub, and of transformers 5's modules, and the official ones."""

_JOINED = (
    (r"encoder\.layer\.(\d+)\.attention\.(?:attention\.)?(query|key|value|[qkv]_proj)\.(\w+)",
     r"blocks.\1.attn.qkv.\3", ("q", "k", "v")),
    (r"encoder\.layer\.(\d+)\.mlp\.(gate|up)_proj\.(\w+)", r"blocks.\1.mlp.w12.\3", ("g", "u")),
)  # fmt: skip
"""Tensors that are one in the official code, and the first letters of their parts in order."""


def official_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors of a file that transformers wrote under official names; unknown ones keep theirs."""
    found: dict[str, Tensor] = {}
    parts: dict[str, dict[str, Tensor]] = {}
    for key, value in state.items():
        for pattern, name, _ in _JOINED:
            if match := re.fullmatch(pattern, key):
                parts.setdefault(match.expand(name), {})[match[2][0]] = value
                break
        else:
            found[_official(key)] = value
    for name, pieces in parts.items():
        letters = next(letters for _, _, letters in _JOINED if set(pieces) <= set(letters))
        if set(pieces) == set(letters):  # otherwise the whole is missed by its name
            found[name] = torch.cat([pieces[letter] for letter in letters])
    return found


def _official(key: str) -> str:
    for pattern, name in _OFFICIAL_NAMES:
        if match := re.fullmatch(pattern, key):
            return match.expand(name)
    return key
