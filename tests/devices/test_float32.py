"""No product and no convolution of a method runs where float32 is rounded to fewer digits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.devices.test_recipes import METHODS, SIZE, source_in
from tests.loading import load_detector, with_references
from tests.training.stages import trainer_of
from zsad.backbones.clip import ClipBackbone
from zsad.training.cache.build import frozen_image_side
from zsad.training.live import LiveFeatures
from zsad.values import Sample

PRODUCTS = ("mm", "bmm", "addmm", "baddbmm", "mv", "dot", "convolution", "_scaled_dot_product")

pytestmark = pytest.mark.skipif(
    not hasattr(torch.backends.cudnn, "conv"), reason="the switches cannot be read in a mixed state"
)


class Products(TorchDispatchMode):
    """Counts products and convolutions by whether they may be rounded.

    Attributes:
        exact: Their names and numbers.
        rounded: Likewise.
    """

    def __init__(self) -> None:
        super().__init__()
        self.exact, self.rounded = Counter[str](), Counter[str]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name.startswith(PRODUCTS):
            switches = torch.backends.cudnn.conv, torch.backends.cuda.matmul
            exact = all(switch.fp32_precision in ("ieee", "none") for switch in switches)
            (self.exact if exact else self.rounded)[name] += 1
        return func(*args, **kwargs or {})


@pytest.fixture
def products() -> Iterator[Products]:
    """Products in a process that allows TF32 everywhere."""
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    try:
        with Products() as found:
            yield found
    finally:
        torch.backends.cuda.matmul.fp32_precision = "none"


def test_what_is_not_guarded_is_counted(products: Products) -> None:
    torch.ones(2, 2) @ torch.ones(2, 2)
    assert products.rounded == {"mm": 1} and not products.exact


@pytest.mark.parametrize("method", METHODS)
def test_passes_and_scores(
    products: Products, mini: ClipBackbone, samples: list[Sample], method: str
) -> None:
    detector = with_references(load_detector(method, backbone=mini, image_size=SIZE, untrained=True))
    detector.predict(samples)
    detector.stages(detector.encode(samples))
    assert products.exact["convolution"] and sum(products.exact.values()) > 100
    assert not products.rounded


@pytest.mark.parametrize("method", ["anomalyclip", "adaclip", "filo"])
def test_steps_of_training(products: Products, mini: ClipBackbone, tmp_path: Path, method: str) -> None:
    detector = load_detector(method, backbone=mini, image_size=SIZE, untrained=True)
    plan = detector.recipe.recipe.training.stages[0].model_copy(update={"epochs": 1, "batch_size": 4})
    batches = LiveFeatures(detector, source_in(tmp_path), grad=not frozen_image_side(detector))
    trainer = trainer_of(detector, plan, batches)
    list(trainer.epochs())
    assert sum(products.exact.values()) > 100
    assert not products.rounded
