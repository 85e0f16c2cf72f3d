"""Crane on small backbones: ``mini``, a tiny CLIP, and a tiny DINOv2 in a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.loading import load_detector
from tests.parity.synthetic import TINY_DINO, dino_state_dict
from zsad.backbones.clip import ClipBackbone
from zsad.backbones.loading import load_backbone
from zsad.detect.detector import Detector
from zsad.values import Sample


@pytest.fixture(scope="session")
def mini() -> ClipBackbone:
    return load_backbone("mini", "cpu", "float32")


@pytest.fixture(scope="session")
def dino_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dino") / "dino.safetensors"
    state = dino_state_dict({**TINY_DINO, "layers": 2}, 0)
    save_file({key: torch.from_numpy(value) for key, value in state.items()}, path)
    return path


@pytest.fixture(scope="session")
def load(dino_file: Path) -> Callable[..., Detector]:
    """Load an untrained method; Crane+ gets the tiny DINOv2."""

    def loaded(method: str, backbone: ClipBackbone, *overrides: str) -> Detector:
        plus = method.startswith("crane-plus") and not method.endswith("@stem")
        dino = ["auxiliary=crane.dinov2", "attention_refiner.maps=dinov2"]
        dino = [*dino, f"auxiliary.dinov2.model={dino_file}"] if plus else []
        return load_detector(method, backbone=backbone, overrides=[*dino, *overrides], untrained=True)

    return loaded


@pytest.fixture(scope="session")
def samples() -> list[Sample]:
    """Three images of different content and size: noise, a patch on a plain ground, a gradient."""
    rng = np.random.default_rng(7)
    noise = rng.integers(0, 256, (90, 70, 3), dtype=np.uint8)
    plain = np.full((120, 120, 3), 180, np.uint8)
    plain[40:60, 70:90] = (200, 30, 40)
    ramp = np.linspace(0, 255, 80 * 100 * 3).reshape(80, 100, 3).astype(np.uint8)
    return [Sample(image, name) for image, name in ((noise, "carpet"), (plain, "tile"), (ramp, "carpet"))]
