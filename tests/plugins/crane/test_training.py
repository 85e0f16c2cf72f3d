"""Crane's own training: its losses against loops, what learns, and what comes of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.parity.synthetic import crane_checkpoint
from tests.training import slow
from tests.training.slow import array, unit
from tests.training.stages import First, copied, first_step, learn, loads_back
from zsad.plugin.host import get_host
from zsad.recipe.recipes import load_recipe
from zsad.training.learner import learned_state
from zsad_plugins.crane.convert import convert

MIXED, NORMAL_ONLY, ANOMALOUS_ONLY, ONE = [0, 4, 1], [4, 5], [0, 1, 2], [2]
METHODS = {"crane": 8, "crane-plus@stem": 2}
"""Weight of both map losses: 2 for each of four equal taps, and 2 for each of D and E."""


def slow_image(first: First) -> float:
    """Return the cross entropy of image features that took in the patches, at the temperature 0.01."""
    losses = []
    for image, label in enumerate(first.batch.anomalous.tolist()):
        text = array(first.conditioning.text_features[image])
        sets = [unit(array(entry.tokens[image])) for entry in first.adapted.token_sets]
        pooled = np.zeros(sets[0].shape[1])
        for patches in zip(*sets, strict=True):
            mean_logits = sum(text @ patch / 0.07 for patch in patches) / len(sets)
            pooled += slow.softmax(mean_logits, 0)[1] * sum(patches) / len(sets)
        feature = unit(0.5 * unit(pooled) + 0.5 * unit(array(first.adapted.image_feature[image])))
        losses.append(slow.cross_entropy(text @ feature / 0.01, bool(label)))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("places", [MIXED, NORMAL_ONLY, ANOMALOUS_ONLY, ONE])
@pytest.mark.parametrize("method", METHODS)
def test_losses_against_loops(load, tiny_backbone, squares, method: str, places: list[int]) -> None:
    first = first_step(load(method, tiny_backbone, "image_size=32"), squares, places)
    # (1 - p_normal + p_abnormal) / 2, which the authors compare with the mask, is p_abnormal.
    patches, overlap = slow.map_losses(first, temperature=0.07, softmax_first=True, how="nearest", both=False)
    weight = METHODS[method]
    expected = {"focal": weight * patches, "dice": weight * overlap, "image": 0.2 * slow_image(first)}
    # The scorer hands on probabilities in float32, whose distance from 0 and 1 has few digits.
    assert first.losses == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_four_equal_taps_weigh_as_much_as_one_with_four_times_the_weight(
    load, tiny_backbone, squares
) -> None:
    taps = ("readout.taps=[1, 2, 3, 4]", "training.losses.focal=2", "training.losses.dice.weight=2")
    four = first_step(load("crane", tiny_backbone, *taps), squares, MIXED)
    one = first_step(load("crane", tiny_backbone), squares, MIXED)
    assert len(four.adapted.token_sets) == 4 and four.losses == pytest.approx(one.losses, rel=1e-5)


def test_the_image_token_is_in_the_prompts_while_they_learn(load, tiny_backbone, squares) -> None:
    plain, conditioned = (
        first_step(load(method, tiny_backbone), squares, MIXED) for method in ("crane", "crane@image-prompt")
    )
    assert torch.equal(plain.conditioning.text_features, conditioned.conditioning.text_features)
    features = plain.conditioning.text_features
    assert (features[0] - features[1]).abs().max() > 1e-4
    detector = load("crane", tiny_backbone)
    learn(detector, squares, epochs=1)
    assert detector.part("prompt_conditioner") is None


@pytest.mark.parametrize("method", ["crane", "crane@image-prompt", "crane-plus@stem"])
def test_only_prompts_learn_and_the_loss_falls(load, tiny_backbone, squares, tmp_path, method: str) -> None:
    detector = load(method, tiny_backbone)
    before = copied(learned_state(detector))
    (stage,) = learn(detector, squares, epochs=8, batch_size=8)
    assert stage.fell
    assert stage.changed == {"prompt_learner.context", "prompt_learner.deep"}
    assert stage.same == {"prompt_learner.words"}
    after = learned_state(detector)
    assert not torch.equal(after["prompt_learner.context"], before["prompt_learner.context"])
    assert torch.equal(after["prompt_learner.words"], before["prompt_learner.words"])
    loads_back(detector, load(method, tiny_backbone), squares, tmp_path / "weights.safetensors")


def test_the_seed_decides(load, tiny_backbone, squares) -> None:
    found = []
    for seed in (3, 3, 4):
        detector = load("crane", tiny_backbone)
        learn(detector, squares, seed=seed, epochs=1, batch_size=3)
        found.append(learned_state(detector)["prompt_learner.context"])
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


def test_a_trained_file_has_the_names_of_a_published_one(load, square_backbone, squares) -> None:
    detector = load("crane", square_backbone)
    learn(detector, squares, epochs=1)
    options = {"n_ctx": 12, "depth": 3, "t_n_ctx": 4}
    table = np.zeros((49408, 64), np.float32)
    (state,) = crane_checkpoint({"token_embedding.weight": table}, 0, options).values()
    found = convert({"prompt_learner": {name: torch.from_numpy(value) for name, value in state.items()}})
    own = learned_state(detector)
    assert {name: t.shape for name, t in own.items()} == {name: t.shape for name, t in found.items()}


def test_every_recipe_is_trained_as_published() -> None:
    for method, weight in (
        ("crane", 8),
        ("crane@image-prompt", 8),
        ("crane-plus", 2),
        ("crane-plus@stem", 2),
    ):
        plan = load_recipe(get_host(), method).training
        assert (plan.epochs, plan.batch_size, plan.learning_rate) == (5, 8, 0.001)
        assert (plan.betas, plan.weight_decay, plan.mosaic, plan.then) == ((0.6, 0.999), 0, 0, None)
        assert {name: choice.weight for name, choice in plan.losses.items()} == {
            "focal": weight, "dice": weight, "image": 0.2
        }  # fmt: skip
        assert plan.losses["dice"].options == {"states": "abnormal"}
