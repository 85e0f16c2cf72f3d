"""Detectors of the stand-ins on a tiny backbone, and images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.loading import load_detector
from zsad.backbones.clip import ClipBackbone
from zsad.backbones.loading import load_backbone
from zsad.detect.detector import Detector
from zsad.plugin.host import Host, get_host
from zsad.values import Sample

CONFIG = Path(__file__).parents[1] / "assets" / "tiny-clip.json"


@pytest.fixture(scope="session")
def tiny() -> ClipBackbone:
    return load_backbone(f"{CONFIG}@random:0", "cpu", "float32")


@pytest.fixture
def host(site: Any) -> Iterator[Host]:
    """The host with the built-ins and the stand-ins, installed as a distribution of their own."""
    site.install("zsad-fakes", {}, {"fakes": "tests.fakes.plugin"})
    yield get_host()


@pytest.fixture
def detector(host: Host, tiny: ClipBackbone) -> Callable[..., Detector]:
    def load(method: str, *overrides: str, **options: Any) -> Detector:
        return load_detector(method, backbone=tiny, overrides=overrides, host=host, **options)

    return load


@pytest.fixture(scope="session")
def samples() -> list[Sample]:
    """Five images of two classes; the first pixel is dark in some and light in others."""
    rng = np.random.default_rng(0)
    found = []
    for number, name in enumerate(["gear", "leather", "gear", "gear", "leather"]):
        image = rng.integers(0, 256, (70, 50 + number, 3), dtype=np.uint8)
        image[:8, :8] = 20 if number % 2 else 220
        found.append(Sample(image, name))
    return found


@pytest.fixture(autouse=True)
def _no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield
