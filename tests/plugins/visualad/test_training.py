"""VisualAD's own training: its losses against loops, what learns, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.loading import load_detector
from tests.training import slow
from tests.training.slow import array
from tests.training.stages import copied, first_step, learn, loads_back
from zsad.backbones.clip import ClipBackbone
from zsad.data.dataset import Dataset
from zsad.detect.detector import Detector
from zsad.errors import InputError
from zsad.plugin.host import get_host
from zsad.recipe.recipes import load_recipe
from zsad.training.learner import learned_state
from zsad.training.live import LiveFeatures
from zsad.training.sources import DatasetExamples

MIXED, NORMAL_ONLY = [0, 4, 1], [4, 5]
WITHOUT_DROPOUT = "training.parts.feature_adapter.options.dropout=0"


def live(detector: Detector, dataset: Dataset) -> LiveFeatures:
    return LiveFeatures(detector, DatasetExamples([dataset]), grad=True)


@pytest.fixture
def load(tiny_backbone: ClipBackbone) -> Callable[..., Detector]:
    def loaded(*overrides: str, **options: Any) -> Detector:
        options = {"backbone": tiny_backbone, "image_size": 32} | options
        return load_detector("visualad", overrides=overrides, untrained=True, **options)

    return loaded


@pytest.mark.parametrize("places", [MIXED, NORMAL_ONLY])
def test_losses_against_loops(load, squares, places) -> None:
    first = first_step(load(WITHOUT_DROPOUT), squares, places, open_batches=live)
    maps, image, hinge = [], [], []
    for place, (mask, label) in enumerate(zip(first.batch.masks, first.batch.anomalous, strict=True)):
        summed = np.zeros((32, 32))
        truth = array(mask)
        for entry in first.scores.sets:
            large = F.interpolate(entry.values[[place]].detach(), (32, 32), mode="bilinear")
            value = array(large[0, 0])
            summed += value
            chance = 1 / (1 + np.exp(-value))
            pair = np.stack([1 - chance, chance])
            maps.append(slow.focal(pair, truth) + slow.dice(chance, truth))
        logit = np.sort(summed.ravel())[::-1][:11].mean()  # 1 % of 1024 pixels, rounded up
        image.append(np.log1p(np.exp(-logit if label else logit)))
        tokens = slow.unit(array(first.adapted.token_sets[-1].injected[place]))
        hinge.append(max(0.0, float(tokens[0] @ tokens[1]) + 0.5))
    expected = {
        "visualad-maps": sum(maps) / len(places),
        "visualad-image": sum(image) / len(places),
        "visualad-contrast": sum(hinge) / len(places),
    }
    assert first.losses == pytest.approx(expected, rel=2e-4)


def test_everything_learns_and_the_loss_falls(load, squares, tmp_path) -> None:
    detector = load(WITHOUT_DROPOUT)
    before = copied(learned_state(detector))
    (stage,) = learn(detector, squares, batches=live, epochs=4, batch_size=4, learning_rate=1e-3)
    assert stage.fell
    # Added to the scores of all keys alike, this bias has no effect; weight decay leaves zeros as they are.
    assert {name for name in stage.same if not name.endswith("k_norm.bias")} == set()
    assert set(learned_state(detector)) == set(before)
    loads_back(detector, load(seed=1), squares, tmp_path / "weights.safetensors")


def test_dropout_is_drawn_while_learning_alone(load, squares) -> None:
    losses = [first_step(load(), squares, MIXED, open_batches=live).losses for _ in range(2)]
    assert losses[0] == losses[1]  # from the seed of the epoch
    assert first_step(load(WITHOUT_DROPOUT), squares, MIXED, open_batches=live).losses != losses[0]
    images = [image.image for image in squares.images[:2]]
    detector = load()
    assert torch.equal(detector.predict(images).score, detector.predict(images).score)


def test_losses_that_need_contrasts_say_so(load, squares) -> None:
    other = load_detector(
        "anomalyclip",
        backbone=load().backbone,
        overrides=["training.losses={visualad-maps: 1}"],
        untrained=True,
        image_size=32,
    )
    with pytest.raises(InputError, match=r"choose the scorer visualad\.contrast"):
        first_step(other, squares, MIXED)


def test_the_plan_is_that_of_the_authors() -> None:
    plan = load_recipe(get_host(), "visualad").training
    assert (plan.epochs, plan.batch_size, plan.optimiser, plan.learning_rate) == (2, 8, "adamw", 1e-4)
    assert (plan.betas, plan.weight_decay) == ((0.9, 0.999), 0.01)
    assert dict(plan.learning_rates) == {"attention_refiner.*": 1e-3}
    assert dict(plan.clip_norms) == {"attention_refiner.*": 1}
    assert {choice.weight for choice in plan.losses.values()} == {1}
