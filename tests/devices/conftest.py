"""Two GPUs that are none, the backbone on the second one, and images."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from tests.devices.pretended import pretended_devices
from zsad.backbones.clip import ClipBackbone
from zsad.backbones.loading import load_backbone
from zsad.plugin.host import get_host
from zsad.plugin.imports import load_object
from zsad.values import Sample
from zsad_plugins.drawn.procedural import generate

SECOND = torch.device("cuda:1")


@pytest.fixture
def generators(monkeypatch: pytest.MonkeyPatch) -> tuple[torch.Generator, ...]:
    """The random states of both GPUs."""
    found = tuple(torch.Generator().manual_seed(seed) for seed in (11, 12))
    monkeypatch.setattr(torch.cuda, "default_generators", found)
    return found


@pytest.fixture
def gpus(generators: tuple[torch.Generator, ...]) -> Iterator[None]:
    with pretended_devices():
        yield


@pytest.fixture(scope="module")
def mini() -> ClipBackbone:
    return load_backbone("mini", "cpu", "float32")


@pytest.fixture(scope="module")
def elsewhere() -> ClipBackbone:
    """The same backbone on the second GPU."""
    with pretended_devices():
        loaded: ClipBackbone = load_object(get_host().backbones.get("mini").spec.factory)(
            SECOND, torch.float32
        )
    return loaded


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    """Two images of two classes each."""
    families = ["leather", "gear", "leather", "gear"]
    return [
        Sample(generate(0, index, size=200, families=[family]).image, family)
        for index, family in enumerate(families)
    ]
