"""UniADet against a reference written place by place, its training, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.loading import load_detector
from tests.training import slow
from tests.training.slow import array, unit
from tests.training.stages import first_step, learn, loads_back
from zsad.backbones.clip import ClipBackbone
from zsad.detect.detector import Detector
from zsad.errors import InputError
from zsad.training.learner import learned_state
from zsad.values import Sample, Scores
from zsad_plugins.uniadet.options import ImageScoreOptions
from zsad_plugins.uniadet.pairs import ImageScore

Load = Callable[..., Detector]


@pytest.fixture
def load(tiny_backbone: ClipBackbone) -> Load:
    def loaded(*overrides: str, **options: Any) -> Detector:
        options = {"backbone": tiny_backbone, "image_size": 64} | options
        return load_detector("uniadet", overrides=overrides, untrained=True, **options)

    return loaded


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    rng = np.random.default_rng(0)
    return [Sample(rng.integers(0, 256, (60, 50 + 5 * k, 3), np.uint8)) for k in range(3)]


def softmax(logits: np.ndarray) -> np.ndarray:
    return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)


def reference(detector: Detector, samples: list[Sample]) -> tuple[np.ndarray, np.ndarray]:
    """Return maps before smoothing, and class probabilities, from tokens and vectors alone, in float64."""
    state = {name: array(tensor) for name, tensor in learned_state(detector).items()}
    features, size = detector.encode(samples), detector.recipe.image_size
    maps, classes = np.zeros((len(samples), size, size)), np.zeros(len(samples))
    taps = len(features.token_sets)
    for tap, entry in enumerate(features.token_sets):
        own = {task: unit(state[f"scorer.{task}"][tap]) for task in ("segmentation", "classification")}
        for image in range(len(samples)):
            places = softmax(unit(array(entry.tokens[image])) @ own["segmentation"].T / 0.07)
            plane = places.T.reshape(2, entry.grid.height, entry.grid.width)
            maps[image] += slow.enlarged(plane, size, "bilinear")[1] / taps
            token = unit(array(entry.class_token[image]))
            classes[image] += softmax(token @ own["classification"].T / 0.07)[1] / taps
    return maps, classes


def test_maps_and_scores_against_the_reference(load: Load, samples: list[Sample]) -> None:
    detector = load()
    maps, classes = reference(detector, samples)
    features = detector.encode(samples)
    stages = dict(detector.stages(features))
    np.testing.assert_allclose(stages["uniadet.pairs"].image_score.numpy(), classes, atol=1e-6)
    np.testing.assert_allclose(stages["standard.fuse"].map.numpy(), maps, atol=1e-6)
    prediction = detector.score(features)
    peak = prediction.anomaly_map.flatten(1).amax(1).numpy()
    np.testing.assert_allclose(prediction.score.numpy(), (classes + peak) / 2, atol=1e-6)


def test_the_taps_are_those_of_the_paper(load: Load) -> None:
    assert load().recipe.recipe.readout.blocks(24) == (12, 15, 18, 21, 24)
    assert load().recipe.recipe.readout.blocks(8) == (4, 5, 6, 7, 8)
    assert sum(tensor.numel() for tensor in learned_state(load()).values()) == 5 * 2 * 2 * 32


def test_both_tasks_have_pairs_of_their_own(load: Load, samples: list[Sample]) -> None:
    detector = load()
    before = detector.predict(samples)
    stages = dict(detector.stages(detector.encode(samples)))
    with torch.no_grad():
        detector.part("scorer").classification.mul_(-1)
    after = dict(detector.stages(detector.encode(samples)))
    assert torch.equal(detector.predict(samples).anomaly_map, before.anomaly_map)
    assert not torch.equal(after["uniadet.pairs"].image_score, stages["uniadet.pairs"].image_score)


def test_it_runs_without_a_text_tower(load: Load, textless_backbone, samples: list[Sample]) -> None:
    alone, beside = load(backbone=textless_backbone).predict(samples), load().predict(samples)
    assert torch.equal(alone.anomaly_map, beside.anomaly_map) and torch.equal(alone.score, beside.score)


def test_it_needs_no_text_and_reads_raw_tokens_of_their_own_width(load: Load, samples: list[Sample]) -> None:
    detector = load("readout.stage=ln_post")
    assert detector.text_side is None and not detector.uses_noun
    assert learned_state(detector)["scorer.segmentation"].shape == (5, 2, detector.tower.width)
    assert detector.predict(samples).anomaly_map.isfinite().all()


def test_the_image_score_is_mixed_with_the_maximum() -> None:
    from tests.plugins.contexts import TEXTLESS

    part = ImageScore(ImageScoreOptions(share=0.25), TEXTLESS)
    scores = Scores(map=torch.tensor([[[0.0, 4.0], [1.0, 2.0]]]), image_score=torch.tensor([8.0]))
    assert float(part(scores, None).required_image_score) == pytest.approx(0.25 * 8 + 0.75 * 4)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("attention_refiner=winclip.windows", "requires 'patch_tokens'"),
        ("scorer.temperature=0", "greater than 0"),
        ("post_processors.image_score.share=2", "less than or equal to 1"),
    ],
)
def test_wrong_choices_are_refused(load: Load, override: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        load(override)


def test_other_numbers_of_token_sets_are_refused(load: Load, samples: list[Sample]) -> None:
    detector = load()
    features = detector.encode(samples)
    fewer = replace(features, token_sets=features.token_sets[:2])
    with pytest.raises(
        InputError, match="5 pairs of vectors, one per tap, but the attention refiner reads 2"
    ):
        detector.score(fewer)


def test_losses_against_loops(load, squares) -> None:
    first = first_step(load(image_size=32), squares, [0, 4, 1])
    masks = first.batch.masks.numpy().astype(float)
    patches = overlap = 0.0
    for entry in first.scores.sets:
        for logits, mask in zip(entry.values, masks, strict=True):
            plane = slow.enlarged(slow.softmax(array(logits), 0), mask.shape[0], "bilinear")
            patches += slow.focal(plane, mask) / 3
            overlap += slow.dice(plane[1], mask) / 3
    score, label = array(first.scores.image_score), first.batch.anomalous.numpy()
    image = -np.mean(np.where(label, np.log(score), np.log(1 - score)))
    assert first.losses == pytest.approx({"focal": patches, "dice": overlap, "image": image}, rel=1e-4)


def test_the_pairs_learn_and_the_loss_falls(load, squares, tmp_path) -> None:
    detector = load()
    (stage,) = learn(detector, squares, epochs=6, batch_size=4, learning_rate=0.01)
    assert stage.fell and not stage.same
    loads_back(detector, load(seed=1), squares, tmp_path / "weights.safetensors")
