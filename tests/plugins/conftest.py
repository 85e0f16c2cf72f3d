"""A dataset that methods can learn, and a CLIP as wide in the joint space as in the text tower."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.loading import load_detector
from tests.training.drawing import draw_set
from zsad.backbones.clip import ClipBackbone
from zsad.backbones.loading import load_backbone
from zsad.data.dataset import Dataset
from zsad.data.spec import open_dataset
from zsad.detect.detector import Detector
from zsad.plugin.host import get_host
from zsad.values import Sample

TINY = Path(__file__).parents[1] / "assets" / "tiny-clip.json"


@pytest.fixture
def squares(tmp_path: Path) -> Dataset:
    """Four anomalous images with masks, then four normal ones, of the class 'gear'."""
    return open_dataset(f"folder={draw_set(tmp_path / 'gear')}", get_host())


@pytest.fixture(scope="session")
def square_backbone(tmp_path_factory: pytest.TempPathFactory) -> ClipBackbone:
    """The tiny CLIP with 64 joint channels."""
    config = {**json.loads(TINY.read_text(encoding="utf-8")), "embed_dim": 64}
    path = tmp_path_factory.mktemp("clip") / "tiny-square.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    return load_backbone(f"{path}@random:0", "cpu", "float32")


@pytest.fixture(scope="session")
def textless_backbone(tiny_backbone: ClipBackbone) -> ClipBackbone:
    """The tiny CLIP's vision tower, and no text tower beside it."""
    tiny = tiny_backbone
    return ClipBackbone(
        card=tiny.card,
        arch="tiny-vision",
        vision=tiny._vision,
        text=None,
        tokenizer=None,
        mean=tiny.mean,
        std=tiny.std,
        native_profile=tiny.native_profile,
        native_text_profile=None,
        digest=lambda: tiny.sha256,
        device=tiny.device,
    )


@pytest.fixture
def untrained(tiny_backbone: ClipBackbone) -> Callable[[str], Callable[..., Detector]]:
    """Returns what loads a method, or another one by ``method``, untrained on the tiny CLIP at 80 px."""

    def loader(usual: str) -> Callable[..., Detector]:
        def loaded(*overrides: str, method: str = usual, **options: Any) -> Detector:
            options = {"backbone": tiny_backbone, "image_size": 80} | options
            return load_detector(method, overrides=overrides, untrained=True, **options)

        return loaded

    return loader


@pytest.fixture(scope="session")
def samples() -> list[Sample]:
    """Three images of noise of different sizes; the first and the last are of one class."""
    rng = np.random.default_rng(0)
    names = ["gear", "metal nut", "gear"]
    return [Sample(rng.integers(0, 256, (60, 50 + 5 * k, 3), np.uint8), name) for k, name in enumerate(names)]
