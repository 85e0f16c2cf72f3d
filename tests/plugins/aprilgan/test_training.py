"""APRIL-GAN's own training: its losses against loops, what learns, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from tests.loading import load_detector
from tests.parity.synthetic import aprilgan_checkpoint
from tests.training import slow
from tests.training.stages import copied, first_step, learn, loads_back
from zsad.backbones.clip import ClipBackbone
from zsad.detect.detector import Detector
from zsad.plugin.host import get_host
from zsad.recipe.recipes import load_recipe
from zsad.training.learner import learned_state
from zsad_plugins.aprilgan.convert import convert

MIXED, NORMAL_ONLY, ANOMALOUS_ONLY, ONE = [0, 4, 1], [4, 5], [0, 1, 2], [2]
METHODS = ("aprilgan", "aprilgan@336")


@pytest.fixture
def load(tiny_backbone: ClipBackbone) -> Callable[..., Detector]:
    def loaded(
        *overrides: str,
        method: str = "aprilgan",
        size: int = 32,
        backbone: ClipBackbone = tiny_backbone,
        seed: int = 0,
    ) -> Detector:
        return load_detector(
            method, backbone=backbone, overrides=overrides, untrained=True, image_size=size, seed=seed
        )

    return loaded


@pytest.mark.parametrize("places", [MIXED, NORMAL_ONLY, ANOMALOUS_ONLY, ONE])
def test_losses_against_loops(load, squares, places) -> None:
    first = first_step(load(), squares, places)
    assert len(first.adapted.token_sets) == 4
    patches, overlap = slow.map_losses(
        first, temperature=0.01, softmax_first=False, how="bilinear_aligned", both=False
    )
    assert first.losses == pytest.approx({"focal": patches, "dice": overlap}, rel=1e-4)


def test_the_heads_learn_the_loss_falls_and_the_image_score_stays(load, squares, tmp_path) -> None:
    detector = load(size=64)
    images = [image.image for image in squares.images]
    before, score = copied(learned_state(detector)), detector.predict(images).score
    (stage,) = learn(detector, squares, epochs=4, batch_size=4)
    assert stage.fell and not stage.same
    assert all(not torch.equal(before[name], tensor) for name, tensor in learned_state(detector).items())
    assert torch.equal(detector.predict(images).score, score)
    loads_back(detector, load(size=64, seed=1), squares, tmp_path / "weights.safetensors")


def test_the_text_is_encoded_once_and_not_in_every_step(load, squares) -> None:
    detector = load()
    (stage,) = learn(detector, squares, epochs=2, batch_size=1)
    assert stage.detector.text_side.encodings <= 2  # of sixteen steps


def test_the_seed_decides(load, squares) -> None:
    found = []
    for seed in (3, 3, 4):
        detector = load()
        learn(detector, squares, seed=seed, epochs=1, batch_size=3)
        found.append(learned_state(detector)["feature_adapter.heads.0.weight"])
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


def test_a_trained_file_has_the_names_of_a_published_one(load) -> None:
    own = learned_state(load())
    clip = {"visual.proj": np.zeros((64, 32))}
    (state,) = aprilgan_checkpoint(clip, 0, {"features_list": [6, 12, 18, 24]}).values()
    arrays = {name: torch.from_numpy(value) for name, value in state.items()}
    found = convert({"trainable_linearlayer": arrays})
    assert {name: t.shape for name, t in own.items()} == {name: t.shape for name, t in found.items()}


@pytest.mark.parametrize("method", METHODS)
def test_the_plan_is_that_of_the_authors_on_mvtec(method: str) -> None:
    plan = load_recipe(get_host(), method).training
    assert (plan.epochs, plan.batch_size, plan.mosaic, plan.then) == (3, 8, 0.2, None)
    assert (plan.optimiser, plan.learning_rate, plan.betas, plan.weight_decay) == (
        "adam", 0.001, (0.5, 0.999), 0
    )  # fmt: skip
    assert {name: choice.weight for name, choice in plan.losses.items()} == {"focal": 1, "dice": 1}
