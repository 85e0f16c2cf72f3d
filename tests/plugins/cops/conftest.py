"""CoPS on the tiny CLIP of the tests and on ``mini``, with images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.loading import load_detector
from zsad.backbones.clip import ClipBackbone
from zsad.backbones.loading import load_backbone
from zsad.detect.detector import Detector
from zsad.values import Sample


@pytest.fixture(scope="session")
def mini() -> ClipBackbone:
    return load_backbone("mini", "cpu", "float32")


@pytest.fixture
def untrained(tiny_backbone: ClipBackbone) -> Callable[..., Detector]:
    """Load a method with random learned parts, on the tiny CLIP unless told otherwise."""

    def load(method: str, *overrides: str, **options: Any) -> Detector:
        options = {"backbone": tiny_backbone, "untrained": True} | options
        return load_detector(method, overrides=overrides, **options)

    return load


@pytest.fixture(scope="session")
def samples() -> list[Sample]:
    """Three images of two classes, each with a square of its own."""
    rng = np.random.default_rng(0)
    found = []
    for number, name in enumerate(["gear", "leather", "gear"]):
        image = rng.integers(0, 90, (80, 72, 3), dtype=np.uint8)
        image[10 : 30 + 9 * number, 12:40] = 60 + 80 * number
        found.append(Sample(image, name))
    return found
