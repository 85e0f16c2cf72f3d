"""AdaCLIP's own training: gradients through the pass, its losses against loops, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.loading import load_detector
from tests.parity.synthetic import adaclip_parameters
from tests.plugins.conftest import TINY
from tests.training import slow
from tests.training.memory import MemoryBatches
from tests.training.slow import array, unit
from tests.training.stages import First, copied, first_step, learn, loads_back
from zsad.backbones.clip import ClipBackbone
from zsad.backbones.loading import load_backbone
from zsad.data.dataset import Dataset
from zsad.detect.detector import Detector
from zsad.detect.passes import Pass
from zsad.plugin.host import get_host
from zsad.recipe.recipes import load_recipe
from zsad.training.learner import learned_parameters, learned_state
from zsad.training.live import LiveFeatures
from zsad.training.sources import DatasetExamples
from zsad_plugins.adaclip.convert import convert

MIXED, NORMAL_ONLY, ANOMALOUS_ONLY, ONE = [0, 4, 1], [4, 5], [0, 1, 2], [2]


def live(detector: Detector, dataset: Dataset) -> LiveFeatures:
    return LiveFeatures(detector, DatasetExamples([dataset]), grad=True)


@pytest.fixture
def load(tiny_backbone: ClipBackbone) -> Callable[..., Detector]:
    def loaded(*overrides: str, backbone: ClipBackbone = tiny_backbone, seed: int = 0) -> Detector:
        return load_detector(
            "adaclip", backbone=backbone, overrides=overrides, untrained=True, image_size=32, seed=seed
        )

    return loaded


def slow_image(first: First, scorer: object) -> float:
    """Return the focal loss of image features that took in cluster centres, image by image."""
    logits = torch.stack([entry.values for entry in first.scores.sets]).mean(0)
    _, labels = scorer.cluster(first.adapted, logits)  # type: ignore[attr-defined]
    losses = []
    for image, label in enumerate(first.batch.anomalous.tolist()):
        pair = array(logits[image])
        order = np.argsort(-(pair[1] - pair[0]).ravel(), kind="stable")[: labels.shape[1]]
        sets = [unit(array(entry.tokens[image]))[order] for entry in first.adapted.token_sets]
        means = [
            np.mean([patch for tap in sets for patch, own in zip(tap, labels[image].tolist(), strict=True)
                     if own == cluster], axis=0)
            for cluster in sorted(set(labels[image].tolist()))
        ]  # fmt: skip
        feature = 0.2 * unit(np.mean(means, axis=0)) + 0.8 * unit(array(first.adapted.image_feature[image]))
        text = array(first.conditioning.text_features[image])
        losses.append(slow.focal(slow.softmax(text @ unit(feature) / 0.01, 0), np.asarray(float(label))))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("places", [MIXED, NORMAL_ONLY, ANOMALOUS_ONLY, ONE])
def test_losses_against_loops(load, squares, places) -> None:
    detector = load("scorer.clusters=3", "scorer.patches_per_cluster=3")
    first = first_step(detector, squares, places, open_batches=live)
    patches, overlap = slow.map_losses(
        first, temperature=0.01, softmax_first=False, how="bilinear_aligned", both=True
    )
    image = slow_image(first, detector.part("scorer"))
    expected = {"focal": patches, "dice": overlap, "image-focal": image}
    assert first.losses == pytest.approx(expected, rel=2e-4, abs=1e-5)


def test_gradients_go_through_the_pass_as_differences_say(load) -> None:
    detector = load(
        "scorer.temperature=0.1", backbone=load_backbone(f"{TINY}@random:0", "cpu", "float64")
    ).double()
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (40, 40, 3), np.uint8) for _ in range(2)]
    target = torch.randn(2, 2, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def loss() -> torch.Tensor:
        (features,) = Pass([detector.reading], detector.samples(images, ["gear", "metal nut"])).run()
        adapted = detector.adapt(features)
        scores = detector.part("scorer")(adapted, detector.condition(adapted))
        return sum((entry.values * target).sum() for entry in scores.sets) + 10 * scores.image_score.sum()

    parameters = learned_parameters(detector)
    with torch.enable_grad():
        gradients = dict(zip(parameters, torch.autograd.grad(loss(), list(parameters.values())), strict=True))
    assert {name.partition(".")[0] for name in gradients} == {
        "attention_refiner", "feature_adapter", "prompt_conditioner"
    }  # fmt: skip
    for name, parameter in parameters.items():
        gradient = gradients[name].flatten()
        place = int(gradient.abs().argmax())
        assert float(gradient[place].abs()) > 1e-6, name
        values, step = parameter.data.view(-1), 1e-5
        found = []
        with torch.no_grad():
            for sign in (1, -1):
                values[place] += sign * step
                found.append(float(loss()))
                values[place] -= sign * step
        difference = (found[0] - found[1]) / (2 * step)
        assert float(gradient[place]) == pytest.approx(difference, rel=1e-4, abs=1e-6), name


def test_rounded_tokens_pass_gradients_too(load, squares) -> None:
    detector = load("profile=official", "scorer.temperature=0.1")
    (stage,) = learn(detector, squares, batches=live, epochs=1, batch_size=8)
    assert not stage.same


def test_labels_are_constants_and_the_means_carry_the_gradient(load, squares) -> None:
    detector = load("scorer.clusters=3", "scorer.patches_per_cluster=3")
    images = [image.image for image in squares.images[:2]]
    scorer, adapted = detector.part("scorer"), detector.adapt(detector.encode(images))
    leaves = [entry.tokens.detach().clone().requires_grad_() for entry in adapted.token_sets]
    pairs = zip(adapted.token_sets, leaves, strict=True)
    features = replace(adapted, token_sets=tuple(replace(entry, tokens=leaf) for entry, leaf in pairs))
    logits = torch.randn(2, 2, 4, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    with torch.enable_grad():
        pooled, labels = scorer.cluster(features, logits)
        weights = torch.randn(pooled.shape, generator=torch.Generator().manual_seed(1))
        *found, of_logits = torch.autograd.grad(
            (pooled * weights).sum(), [*leaves, logits], allow_unused=True
        )
        assert of_logits is None and not labels.requires_grad  # the choice of patches passes nothing on
        total = torch.zeros(())
        for image in range(2):
            excess = (logits[image, 1] - logits[image, 0]).flatten()
            order = excess.argsort(descending=True)[: labels.shape[1]]
            units = torch.stack([F.normalize(leaf[image], dim=-1)[order] for leaf in leaves])
            means = [units[:, labels[image] == cluster].mean((0, 1)) for cluster in labels[image].unique()]
            total = total + F.normalize(torch.stack(means).mean(0), dim=-1) @ weights[image]
        expected = torch.autograd.grad(total, leaves)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)
        assert one.abs().sum() > 0


def test_everything_learns_and_the_loss_falls(load, squares, tmp_path) -> None:
    detector = load()
    before = copied(learned_state(detector))
    (stage,) = learn(detector, squares, batches=live, epochs=4, batch_size=4, learning_rate=1e-3)
    assert stage.fell and not stage.same
    after = learned_state(detector)
    assert all(not torch.equal(after[name], tensor) for name, tensor in before.items())
    loads_back(detector, load(seed=1), squares, tmp_path / "weights.safetensors")


def test_features_of_a_cache_would_leave_the_visual_prompts_as_they_are(load, squares) -> None:
    (stage,) = learn(load(), squares, batches=MemoryBatches, epochs=1, batch_size=8)
    assert {name.partition(".")[0] for name in stage.same} == {"attention_refiner"}


def test_the_seed_decides(load, squares) -> None:
    found = []
    for seed in (3, 3, 4):
        detector = load()
        learn(detector, squares, batches=live, seed=seed, epochs=1, batch_size=5)
        found.append(learned_state(detector)["attention_refiner.prompts.static"])
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


def test_a_trained_file_has_the_names_of_a_published_one(load, square_backbone) -> None:
    blocks = ("attention_refiner.blocks=3", "prompt_conditioner.deep_blocks=2")
    own = learned_state(load(*blocks, backbone=square_backbone))
    clip = {"visual.proj": np.zeros((64, 64)), "text_projection": np.zeros((64, 64))}
    options = {"features_list": [6, 12, 18, 24], "prompting_depth": 3, "prompting_length": 5}
    state = adaclip_parameters(clip, 0, options)
    found = convert({name: torch.from_numpy(value) for name, value in state.items()})
    assert {name: t.shape for name, t in own.items()} == {name: t.shape for name, t in found.items()}


def test_the_plan_is_that_of_the_authors() -> None:
    plan = load_recipe(get_host(), "adaclip").training
    assert (plan.epochs, plan.batch_size, plan.mosaic, plan.then) == (5, 1, 0.2, None)
    assert (plan.optimiser, plan.learning_rate, plan.betas, plan.weight_decay) == (
        "adamw", 0.01, (0.5, 0.999), 0.01
    )  # fmt: skip
    assert {name: choice.weight for name, choice in plan.losses.items()} == {
        "focal": 1, "dice": 1, "image-focal": 1
    }  # fmt: skip
