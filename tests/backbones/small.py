"""Architectures of open_clip's names, made small, and a file of weights for all of them."""

from __future__ import annotations

from pathlib import Path

import open_clip
import pytest
import torch
from open_clip.model import CLIP
from safetensors.torch import save_file

CONFIG = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 64, "layers": 1, "width": 64, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1},
}


def small_weights(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
    """Make every architecture small but for its activation, and write halved weights."""
    real = open_clip.get_model_config

    def config(name: str) -> dict[str, object] | None:
        found = real(name)
        return found and CONFIG | {"quick_gelu": found.get("quick_gelu", False)}

    monkeypatch.setattr(open_clip, "get_model_config", config)
    torch.manual_seed(0)
    path = folder / "resaved.safetensors"
    state = CLIP(**CONFIG).state_dict()  # type: ignore[arg-type]
    save_file({key: value.half().contiguous() for key, value in state.items()}, path)
    return path
