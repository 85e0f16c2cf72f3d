"""AA-CLIP's own training, both stages: losses against loops, what learns, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.loading import load_detector
from tests.training import slow
from tests.training.slow import array
from tests.training.stages import copied, first_step, learn, loads_back
from zsad.backbones.clip import ClipBackbone
from zsad.data.dataset import Dataset
from zsad.detect.detector import Detector
from zsad.plugin.host import get_host
from zsad.recipe.recipes import load_recipe
from zsad.training.learner import learned_state
from zsad.training.live import LiveFeatures
from zsad.training.sources import DatasetExamples

MIXED, NORMAL_ONLY = [0, 4, 1], [4, 5]


def live(detector: Detector, dataset: Dataset) -> LiveFeatures:
    return LiveFeatures(detector, DatasetExamples([dataset]), grad=True)


@pytest.fixture
def load(tiny_backbone: ClipBackbone) -> Callable[..., Detector]:
    def loaded(*overrides: str, **options: Any) -> Detector:
        options = {"backbone": tiny_backbone, "image_size": 64} | options
        return load_detector("aa-clip", overrides=overrides, untrained=True, **options)

    return loaded


def slow_maps(first: Any, taps: slice) -> float:
    """Return the map losses of some taps, averaged over the images."""
    found = []
    for image, mask in enumerate(array(first.batch.masks)):
        text = array(first.conditioning.text_features[image])
        for entry in first.adapted.token_sets[taps]:
            plane = (array(entry.tokens[image]) @ text.T / 0.01).T.reshape(2, 8, 8)
            large = slow.softmax(slow.enlarged(plane, 64, "bilinear_aligned"), 0)
            found.append(slow.focal(large, mask) + slow.dice(large[1], mask) + slow.dice(large[0], 1 - mask))
    return sum(found) / len(first.batch)


@pytest.mark.parametrize("taps", ["all", "last"])
def test_losses_of_the_first_stage_against_loops(load, squares, taps) -> None:
    detector = load(f"training.losses.aa-clip-maps.options.taps={taps}")
    first = first_step(detector, squares, MIXED, open_batches=live)
    text = first.conditioning.text_features
    cosine = sum(float(array(a) @ array(b)) for a, b in text) / len(MIXED)
    maps = slow_maps(first, slice(None) if taps == "all" else slice(-1, None))
    assert first.losses == pytest.approx(
        {"aa-clip-maps": maps, "aa-clip-orthogonal": 0.1 * cosine**2}, rel=1e-4
    )


@pytest.mark.parametrize("places", [MIXED, NORMAL_ONLY])
def test_losses_of_the_second_stage_against_loops(load, squares, places) -> None:
    first = first_step(load(), squares, places, stage=1, open_batches=live)
    image = [
        slow.cross_entropy(array(text) @ array(feature), bool(label))
        for feature, text, label in zip(
            first.adapted.image_feature, first.conditioning.text_features, first.batch.anomalous, strict=True
        )
    ]
    assert first.losses == pytest.approx(
        {"aa-clip-maps": slow_maps(first, slice(None)), "aa-clip-image": sum(image) / len(image)}, rel=1e-4
    )


def test_one_tower_learns_after_the_other(load, squares, tmp_path) -> None:
    detector = load()
    before = copied(learned_state(detector))
    stages = learn(detector, squares, batches=live, epochs=4, batch_size=4, learning_rate=1e-3)
    assert all(stage.fell for stage in stages)
    assert {name.partition(".")[0] for name in stages[0].changed} == {"prompt_learner"}
    assert {name.partition(".")[0] for name in stages[1].changed} == {"attention_refiner", "feature_adapter"}
    assert stages[0].changed | stages[1].changed == set(before)
    assert all(not torch.equal(learned_state(detector)[name], tensor) for name, tensor in before.items())
    loads_back(detector, load(seed=1), squares, tmp_path / "weights.safetensors")


def test_the_plan_is_that_of_the_authors() -> None:
    plan = load_recipe(get_host(), "aa-clip").training
    first, second = plan.stages
    assert (first.epochs, first.batch_size, first.learning_rate, first.learn) == (
        5, 16, 1e-5, ("prompt_learner.*",)
    )  # fmt: skip
    assert (second.epochs, second.batch_size, second.learning_rate, second.halve_at) == (
        20, 2, 5e-4, (16000, 32000)
    )  # fmt: skip
    assert first.betas == second.betas == (0.5, 0.999) and not second.parts
    assert second.learn == ("attention_refiner.*", "feature_adapter.*")
    assert {name: choice.weight for name, choice in first.losses.items()} == {
        "aa-clip-maps": 1, "aa-clip-orthogonal": 0.1
    }  # fmt: skip
    assert set(second.losses) == {"aa-clip-maps", "aa-clip-image"}
