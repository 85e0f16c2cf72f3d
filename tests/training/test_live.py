"""Batches encoded anew: what the detector says of the images, and gradients where they are asked for."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
import torch

from tests.loading import load_detector
from tests.training.compare import assert_same, assert_same_features
from tests.training.drawn_examples import DrawnExamples
from zsad.backbones.loading import load_backbone
from zsad.data.masks import resize_mask
from zsad.errors import InputError
from zsad.training.live import LiveFeatures

CPU = torch.device("cpu")


@pytest.mark.parametrize("method", ["anomalyclip", "adaclip", "winclip", "crane-plus@stem"])
def test_a_batch_is_what_the_detector_encodes(load, method) -> None:
    detector, source = load(method), DrawnExamples()
    examples = [source[place] for place in (4, 1, 4, 9)]
    batch = LiveFeatures(detector, source).batch([4, 1, 4, 9], CPU)
    assert_same_features(batch.features, detector.encode([example.sample for example in examples]))
    for place, example in enumerate(examples):
        assert np.array_equal(batch.masks[place].numpy(), resize_mask(example.mask, 64, 64))
    assert batch.anomalous.tolist() == [example.anomalous for example in examples]
    assert batch.weights.tolist() == [example.weight for example in examples]
    assert batch.masks.dtype == batch.anomalous.dtype == torch.bool and batch.weights.dtype == torch.float32


def test_workers_give_the_same_and_stay(load) -> None:
    detector, source = load(), DrawnExamples()
    alone, shared = LiveFeatures(detector, source), LiveFeatures(detector, source, workers=2)
    for places in ([3, 1, 2], [0, 9]):
        before = list(source.asked)
        batch = shared.batch(places, CPU)
        assert source.asked == before  # not read in this process
        assert_same(batch, alone.batch(places, CPU))


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unreadable_image_is_named_and_others_go_on(load, workers) -> None:
    live = LiveFeatures(load(), DrawnExamples(broken=2), workers=workers)
    with pytest.raises(InputError, match=r"^cannot read 'image 2\.png': it is damaged$"):
        live.batch([1, 2, 3], CPU)
    assert len(live.batch([3, 4], CPU)) == 2


def test_pixels_go_to_side_inputs_alone(load, monkeypatch) -> None:
    import zsad.training.live as module

    seen: list[int] = []
    real = module.Pass

    def watched(readings: Any, samples: Any) -> Any:
        seen.extend(sample.image.size for sample in samples)
        return real(readings, samples)

    monkeypatch.setattr(module, "Pass", watched)
    LiveFeatures(load(), DrawnExamples()).batch([0], CPU)
    LiveFeatures(load("crane-plus@stem"), DrawnExamples()).batch([0], CPU)
    assert seen == [0, 50 * 50 * 3]


@pytest.fixture(scope="module")
def exact_adaclip() -> Any:
    """AdaCLIP in float64, whose injected tokens are not rounded to float16."""
    backbone = load_backbone("mini", "cpu", "float64")
    detector = load_detector("adaclip", backbone=backbone, untrained=True, image_size=64).double()
    detector.part("attention_refiner").rounded = False
    return detector


def objective(live: LiveFeatures) -> torch.Tensor:
    features = live.batch([1, 2], CPU).features
    total = features.image_feature.square().sum()
    for entry in features.token_sets:
        total = total + entry.tokens.mean(1).square().sum()
    return total


def test_gradients_reach_injected_tokens(exact_adaclip) -> None:
    live = LiveFeatures(exact_adaclip, DrawnExamples(), grad=True)
    injector = exact_adaclip.part("attention_refiner")
    injector.zero_grad()
    objective(live).backward()
    generator = torch.Generator().manual_seed(0)
    reached = 0
    for parameter in injector.parameters():
        if parameter.grad is None:
            continue
        reached += 1
        direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        step = 1e-5
        with torch.no_grad():
            values = []
            for sign in (1, -1):
                parameter += sign * step * direction
                values.append(float(objective(live)))
                parameter -= sign * step * direction
        slope = (values[0] - values[1]) / (2 * step)
        assert float((parameter.grad * direction).sum()) == pytest.approx(slope, rel=1e-5, abs=1e-8)
    assert reached
    assert any(
        parameter.grad is not None and parameter.grad.abs().max() > 0 for parameter in injector.parameters()
    )


def test_the_pass_before_the_injection_has_none(load) -> None:
    features = LiveFeatures(load("adaclip"), DrawnExamples(), grad=True).batch([0, 1], CPU).features
    assert features.prepass is not None and not features.prepass.requires_grad
    assert features.image_feature.requires_grad and features.token_sets[0].tokens.requires_grad


def test_without_being_asked_for_nothing_is_recorded(load) -> None:
    with torch.enable_grad():
        features = LiveFeatures(load("adaclip"), DrawnExamples()).batch([0, 1], CPU).features
        assert torch.is_grad_enabled()
    assert not features.image_feature.requires_grad


def test_gradients_reach_a_tower_that_learns(load) -> None:
    detector = load()
    bias = detector.tower.blocks[0].fc2.bias
    bias.requires_grad_(True)
    try:
        batch = LiveFeatures(detector, DrawnExamples(), grad=True).batch([0, 1], CPU)
        (gradient,) = torch.autograd.grad(batch.features.image_feature.sum(), [bias])
    finally:
        bias.requires_grad_(False)
    assert gradient.abs().max() > 0


def test_asking_draws_nothing_from_torch(load) -> None:
    live = LiveFeatures(load(), DrawnExamples(), workers=1)
    torch.manual_seed(os.getpid())
    expected = torch.rand(2)
    torch.manual_seed(os.getpid())
    live.batch([0], CPU)
    assert torch.equal(torch.rand(2), expected)
