"""FiLo's own training in two stages: its losses against loops, what learns in each, and what comes of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.parity.synthetic import filo_checkpoint
from tests.training import slow
from tests.training.slow import array, unit
from tests.training.stages import copied, first_step, learn, loads_back
from zsad.plugin.host import get_host
from zsad.recipe.recipes import load_recipe
from zsad.training.learner import learned_state, stage_detector
from zsad_plugins.filo.convert import convert

MIXED, NORMAL_ONLY, ANOMALOUS_ONLY, ONE = [0, 4, 1], [4, 5], [0, 1, 2], [2]
EVERY_TAP = 'readout.taps=["1/4", "1/2", "3/4", "1"]'
ADAPTER = {"feature_adapter.narrow.weight", "feature_adapter.widen.weight"}


@pytest.mark.parametrize("places", [MIXED, NORMAL_ONLY, ANOMALOUS_ONLY, ONE])
def test_losses_of_the_maps_against_loops(untrained, squares, places) -> None:
    first = first_step(untrained("filo", EVERY_TAP, image_size=32), squares, places)
    assert len(first.adapted.token_sets) == 7
    patches, overlap = slow.map_losses(
        first, temperature=0.01, softmax_first=False, how="bilinear_aligned", both=True
    )
    assert first.losses == pytest.approx({"focal": patches, "dice": overlap}, rel=1e-4)


def test_dice_over_rows_as_published_against_loops(untrained, squares) -> None:
    rows = "training.losses.dice.options.rows=true"
    first = first_step(untrained("filo", "readout.taps=[1, 4]", rows, image_size=32), squares, ONE)
    (mask,), total = array(first.batch.masks), 0.0
    for entry in first.adapted.token_sets:
        plane = slow.logits(entry.tokens[0], first.conditioning.text_features[0], 0.01)
        maps = slow.softmax(slow.enlarged(plane, 32, "bilinear_aligned"), 0)
        for state, target in ((1, mask), (0, 1 - mask)):
            total += sum(map(slow.dice, maps[state], target)) / 32
    assert first.losses["dice"] == pytest.approx(total, rel=1e-4)


def test_the_first_stage_reads_the_plain_image_feature_and_all_positions(untrained, squares) -> None:
    detector = untrained("filo@dino", "auxiliary=filo.no_boxes")
    first = first_step(detector, squares, MIXED)
    images = [squares.images[place].image for place in MIXED]
    plain = detector.encode(images).image_feature
    read = first.adapted.image_feature
    order = [int((plain - feature).abs().sum(1).argmin()) for feature in read]
    assert sorted(order) == [0, 1, 2]
    torch.testing.assert_close(read, plain[order], atol=1e-5, rtol=0)
    learner = detector.part("prompt_learner")
    assert first.conditioning.raw.shape[1] == len(learner("gear").state)


@pytest.mark.parametrize("places", [MIXED, NORMAL_ONLY, ANOMALOUS_ONLY, ONE])
def test_the_loss_of_the_image_label_against_loops(untrained, squares, places) -> None:
    first = first_step(untrained("filo"), squares, places, stage=1)
    # Nobody asks for maps, so that no head is applied.
    assert first.adapted.token_sets == () and first.scores.sets == ()
    losses = []
    for image, label in enumerate(first.batch.anomalous.tolist()):
        text = array(first.conditioning.text_features[image])
        np.testing.assert_allclose(np.linalg.norm(text, axis=1), 0.5**0.5, rtol=1e-5)
        feature = unit(array(first.adapted.image_feature[image]))
        losses.append(slow.cross_entropy(text @ feature / 0.07, bool(label)))
    assert first.losses == pytest.approx({"image": sum(losses) / len(losses)}, rel=1e-4)


def test_the_adapter_learns_through_the_image_feature_and_not_through_the_text(untrained, squares) -> None:
    detector = untrained("filo")
    second = detector.recipe.recipe.training.stages[1]
    learning = stage_detector(detector, second, get_host())
    images = [image.image for image in squares.images[:2]]
    features, found = learning.encode(images), []
    for constant in (False, True):
        adapted = learning.adapt(features)
        conditioning = learning.condition(adapted)
        text = conditioning.text_features.detach() if constant else conditioning.text_features
        a = F.normalize(adapted.image_feature, dim=-1)
        pairs = torch.stack([image @ states.T for image, states in zip(a, text, strict=True)]) / 0.07
        loss = F.cross_entropy(pairs, torch.tensor([1, 0]))
        (gradient,) = torch.autograd.grad(loss, learning.part("feature_adapter").widen.weight)
        found.append(gradient)
    torch.testing.assert_close(found[0], found[1])
    # With the shift the gradient would be another one.
    through = stage_detector(
        detector,
        second.model_copy(update={"parts": {**second.parts, "prompt_conditioner": {"options": {}}}}),
        get_host(),
    )
    adapted = through.adapt(features)
    a, text = F.normalize(adapted.image_feature, dim=-1), through.condition(adapted).text_features
    loss = F.cross_entropy((a[:, None] @ text.transpose(1, 2))[:, 0] / 0.07, torch.tensor([1, 0]))
    (gradient,) = torch.autograd.grad(loss, through.part("feature_adapter").widen.weight)
    assert (gradient - found[0]).abs().max() > 1e-6


def test_each_stage_learns_its_own_and_the_losses_fall(untrained, squares, tmp_path) -> None:
    detector = untrained("filo")
    before = copied(learned_state(detector))
    first, second = learn(detector, squares, epochs=3, batch_size=8)
    assert first.fell and second.fell
    assert first.same == ADAPTER and second.changed == ADAPTER
    for name, tensor in learned_state(detector).items():
        own = first if name in first.changed else second
        assert torch.equal(tensor, learned_state(own.detector)[name]), name
        assert not torch.equal(tensor, before[name])
    loads_back(detector, untrained("filo", seed=1), squares, tmp_path / "weights.safetensors")


def test_rates_are_those_of_the_authors(untrained, squares) -> None:
    detector = untrained("filo")
    before = copied(learned_state(detector))
    learn(detector, squares, epochs=1, batch_size=8)
    rates = {"feature_adapter.": 1e-4, "prompt_learner.": 1e-3, "prompt_conditioner.": 1e-3}
    after = learned_state(detector)
    for name, tensor in after.items():
        rate = 1e-5 if name in ADAPTER else next(r for head, r in rates.items() if name.startswith(head))
        # Adam's first step is as long as the rate where there is a gradient; the decay adds a hundredth.
        step = (tensor - before[name]).abs()
        decayed = 0.01 * rate * before[name].abs().max()
        assert float(step.max()) == pytest.approx(rate, rel=0.05, abs=float(decayed)), name


def test_both_recipes_learn_without_boxes_and_share_weights(untrained, squares, tmp_path) -> None:
    detector = untrained("filo@dino", "auxiliary=filo.no_boxes")
    stages = learn(detector, squares, epochs=1, batch_size=8)
    for stage in stages:
        (auxiliary,) = stage.detector.recipe.of_kind("auxiliary")
        assert auxiliary.spec.name == "filo.no_boxes"
    plain = untrained("filo", seed=1)
    assert {n: t.shape for n, t in learned_state(plain).items()} == {
        n: t.shape for n, t in learned_state(detector).items()
    }


def test_the_seed_decides(untrained, squares) -> None:
    found = []
    for seed in (3, 3, 4):
        detector = untrained("filo", "readout.taps=[1, 4]")
        learn(detector, squares, seed=seed, epochs=1, batch_size=5)
        found.append(learned_state(detector)["prompt_learner.context"])
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


def test_a_trained_file_has_the_names_of_a_published_one(square_backbone, untrained) -> None:
    own = learned_state(untrained("filo", backbone=square_backbone))
    options = {"features_list": [6, 12, 18, 24], "n_ctx": 12}
    (state,) = filo_checkpoint({"visual.proj": np.zeros((64, 64))}, 0, options).values()
    found = convert({"filo": {name: torch.from_numpy(value) for name, value in state.items()}})
    assert {name: t.shape for name, t in own.items()} == {name: t.shape for name, t in found.items()}


def test_the_plan_is_that_of_the_authors() -> None:
    for method in ("filo", "filo@dino"):
        first, second = load_recipe(get_host(), method).training.stages
        assert (first.epochs, first.batch_size, first.optimiser, first.mosaic) == (15, 1, "adamw", 0.2)
        assert (second.epochs, second.batch_size, second.optimiser) == (5, 1, "adamw")
        for stage in (first, second):
            assert (stage.betas, stage.weight_decay) == ((0.5, 0.999), 0.01)
        assert second.learning_rate == 1e-5 and not second.learning_rates
        assert [list(stage.losses) for stage in (first, second)] == [["focal", "dice"], ["image"]]
