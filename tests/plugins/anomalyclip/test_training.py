"""AnomalyCLIP's own training: its losses against loops, what learns, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from tests.loading import load_detector
from tests.parity.synthetic import anomalyclip_checkpoint
from tests.training import slow
from tests.training.slow import array, unit
from tests.training.stages import copied, first_step, learn, loads_back
from zsad.backbones.clip import ClipBackbone
from zsad.detect.detector import Detector
from zsad.plugin.host import get_host
from zsad.recipe.recipes import load_recipe
from zsad.training.learner import learned_state
from zsad_plugins.anomalyclip.convert import convert

MIXED, NORMAL_ONLY, ANOMALOUS_ONLY, ONE = [0, 4, 1], [4, 5], [0, 1, 2], [2]


@pytest.fixture
def load(tiny_backbone: ClipBackbone) -> Callable[..., Detector]:
    def loaded(*overrides: str, **options: Any) -> Detector:
        options = {"backbone": tiny_backbone, "image_size": 32} | options
        return load_detector("anomalyclip", overrides=overrides, untrained=True, **options)

    return loaded


@pytest.mark.parametrize("places", [MIXED, NORMAL_ONLY, ANOMALOUS_ONLY, ONE])
def test_losses_against_loops(load, squares, places) -> None:
    first = first_step(load(), squares, places)
    patches, overlap = slow.map_losses(first, temperature=0.07, softmax_first=True, how="bilinear", both=True)
    image = [
        slow.cross_entropy(array(text) @ unit(array(feature)) / 0.07, bool(label))
        for feature, text, label in zip(
            first.adapted.image_feature, first.conditioning.text_features, first.batch.anomalous, strict=True
        )
    ]
    expected = {"focal": 4 * patches, "dice": 4 * overlap, "image": sum(image) / len(image)}
    assert first.losses == pytest.approx(expected, rel=2e-5)


def test_four_equal_taps_with_a_quarter_of_the_weight_are_one(load, squares) -> None:
    # How it was until April 2025: four taps, all of them the last block's, each with the weight 1.
    one = first_step(load(), squares, MIXED)
    aliased = (
        "attention_refiner=crane.e_attn",
        "attention_refiner.pairs=[vv]",
        "readout.taps=[1, 2, 3, 4]",
        "training.losses={focal: 1, dice: 1, image: 1}",
    )
    four = first_step(load(*aliased), squares, MIXED)
    assert len(four.adapted.token_sets) == 4 and four.losses == pytest.approx(one.losses, rel=1e-5)


def test_only_prompts_learn_and_the_loss_falls(load, squares, tmp_path) -> None:
    detector = load(image_size=64)
    before = copied(learned_state(detector))
    (stage,) = learn(detector, squares, epochs=4, batch_size=4)
    assert stage.fell and stage.changed == {"prompt_learner.context", "prompt_learner.deep"} == set(before)
    assert all(not torch.equal(before[name], tensor) for name, tensor in learned_state(detector).items())
    loads_back(detector, load(image_size=64, seed=1), squares, tmp_path / "weights.safetensors")


def test_the_seed_decides(load, squares) -> None:
    found = []
    for seed in (3, 3, 4):
        detector = load()
        learn(detector, squares, seed=seed, epochs=1, batch_size=3)
        found.append(learned_state(detector)["prompt_learner.context"])
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


def test_a_trained_file_has_the_names_of_a_published_one(load, square_backbone) -> None:
    own = learned_state(load(backbone=square_backbone))
    clip = {"token_embedding.weight": np.zeros((49408, 64), np.float32)}
    (state,) = anomalyclip_checkpoint(clip, 0, {"n_ctx": 12, "depth": 3, "t_n_ctx": 4}).values()
    found = convert({"prompt_learner": {name: torch.from_numpy(value) for name, value in state.items()}})
    assert {name: t.shape for name, t in own.items()} == {name: t.shape for name, t in found.items()}


def test_the_plan_is_that_of_the_authors() -> None:
    plan = load_recipe(get_host(), "anomalyclip").training
    assert (plan.epochs, plan.batch_size, plan.mosaic, plan.then) == (15, 8, 0, None)
    assert (plan.optimiser, plan.learning_rate, plan.betas, plan.weight_decay) == (
        "adam", 0.001, (0.5, 0.999), 0
    )  # fmt: skip
    assert {name: choice.weight for name, choice in plan.losses.items()} == {
        "focal": 4,
        "dice": 4,
        "image": 1,
    }
