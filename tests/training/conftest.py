"""A learnable dataset, and detectors on a tiny backbone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.loading import load_detector
from tests.training.drawing import draw_set
from zsad.backbones.clip import ClipBackbone
from zsad.data.dataset import Dataset
from zsad.data.spec import open_dataset
from zsad.detect.detector import Detector
from zsad.plugin.host import get_host


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Four normal and four anomalous images with masks, of the class 'squares'."""
    return open_dataset(f"folder={draw_set(tmp_path / 'squares')}", get_host())


@pytest.fixture
def load(tiny_backbone: ClipBackbone) -> Callable[..., Detector]:
    """Load a method, untrained, on the tiny backbone."""

    def run(method: str = "anomalyclip", *overrides: str, **options: Any) -> Detector:
        return load_detector(method, backbone=tiny_backbone, overrides=overrides, untrained=True, **options)

    return run
