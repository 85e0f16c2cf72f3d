"""Training changes what a method learns, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from zsad.backbones.clip import state_digest
from zsad.backbones.loading import load_backbone
from zsad.card import TrainedOn
from zsad.detector import Detector, load_detector
from zsad.errors import InputError, ZsadError
from zsad.host import get_host
from zsad.recipe import Training
from zsad.training.frozen import freeze
from zsad.training.losses import image_loss, map_loss
from zsad.training.trainer import Epoch, Trainer, learned_parameters, learned_state, weights_card
from zsad.weights import load_weights, save_weights

PLAN = Training(epochs=2, batch_size=3, learning_rate=0.02)

PLUGIN = """
from zsad.hookspecs import hookimpl
from zsad.specs import PartSpec
zsad_api = 1

@hookimpl
def zsad_parts():
    yield PartSpec("acme.gain", "post_processors", "acme_parts:Gain", "A step.", learnable=True)
    yield PartSpec("acme.scale", "feature_adapter", "acme_parts:Scale", "An adapter.", learnable=True)
    yield PartSpec("acme.mapless", "scorer", "acme_parts:Mapless", "Only image scores.",
                   provides=frozenset({"image_score", "anomaly_map"}))
    yield PartSpec("acme.whole", "scorer", "acme_parts:Whole", "Whole sets.", two_phase=True,
                   provides=frozenset({"image_score", "anomaly_map"}))
    yield PartSpec("acme.single", "scorer", "acme_parts:Single", "One state.",
                   provides=frozenset({"image_score", "anomaly_map"}))
"""

PARTS = """
from dataclasses import replace
import torch
from zsad.values import Scores, ScoreSet

class Gain(torch.nn.Module):
    def __init__(self, options, context):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.ones(()))

class Scale(torch.nn.Module):
    def __init__(self, options, context):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(context.embed_dim))
        self.register_buffer("centre", torch.full((context.embed_dim,), 0.25))
        self.register_buffer("scratch", torch.zeros(2), persistent=False)

    def forward(self, features):
        move = lambda tokens: (tokens - self.centre) * self.scale
        sets = tuple(replace(entry, tokens=move(entry.tokens)) for entry in features.token_sets)
        return replace(features, token_sets=sets, image_feature=move(features.image_feature))

class Mapless:
    def __init__(self, options, context): ...
    def __call__(self, features, conditioning):
        return Scores(image_score=conditioning.text_features[:, 0, 0])

class Whole:
    def __init__(self, options, context): ...
    def collect(self, features, conditioning): ...
    def finalize(self, scope): ...

class Single:
    def __init__(self, options, context): ...
    def __call__(self, features, conditioning):
        return Scores((ScoreSet("one", conditioning.text_features[:, :1, :1, None], "anomaly"),))
"""


@pytest.fixture
def frozen(load, dataset):
    return freeze(load(), [dataset])


@pytest.fixture
def acme(site: Any) -> None:
    site.install("acme", {"acme_plugin.py": PLUGIN, "acme_parts.py": PARTS}, {"acme": "acme_plugin"})


@pytest.fixture
def train(load, frozen) -> Callable[..., tuple[Detector, list[Epoch]]]:
    def run(plan: Training = PLAN, *overrides: str, seed: int = 0) -> tuple[Detector, list[Epoch]]:
        detector = load("anomalyclip", *overrides, seed=seed)
        return detector, list(Trainer(detector, frozen, plan, seed=seed).epochs())

    return run


def everything(detector: Detector) -> dict[str, Tensor]:
    """Return copies of the towers' and the parts' states."""
    tower, text = detector.tower, detector.backbone.text_tower(detector.recipe.text_profile)
    states: Mapping[str, Mapping[str, Tensor]] = {
        "vision": tower.state_dict(), "text": text.state_dict(), "parts": detector.parts.state_dict(),
    }  # fmt: skip
    return {f"{kind}.{name}": t.clone() for kind, state in states.items() for name, t in state.items()}


def test_only_what_the_recipe_learns_changes(load, frozen) -> None:
    backbone = load_backbone(load().backbone.card.name, "cpu", "float32")  # not the one that tests share
    detector = load_detector("anomalyclip", backbone=backbone, untrained=True)
    before = everything(detector)
    assert len(before) > 50
    list(Trainer(detector, frozen, PLAN, seed=0).epochs())
    after = everything(detector)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"parts.prompt_learner.context", "parts.prompt_learner.deep"}
    towers = [{name: t for name, t in found.items() if name not in changed} for found in (before, after)]
    assert state_digest(towers[0]) == state_digest(towers[1])
    grown = [
        p for tower in (detector.tower, backbone.text_tower()) for p in tower.parameters() if p.requires_grad
    ]
    assert not grown


def test_the_same_seed_gives_the_same_bits(train) -> None:
    (one, first), (same, second), (other, third) = train(seed=1), train(seed=1), train(seed=2)
    states = [learned_state(found) for found in (one, same, other)]
    assert first == second != third
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not any(torch.equal(states[0][name], states[2][name]) for name in states[0])


def test_the_seed_orders_the_images(load, frozen) -> None:
    found = []
    for seed in (1, 2):
        detector = load(seed=0)
        list(Trainer(detector, frozen, PLAN, seed=seed).epochs())
        found.append(learned_state(detector)["prompt_learner.context"])
    assert not torch.equal(*found)


def test_training_leaves_the_global_random_state_alone(train) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    train()
    assert torch.equal(before, torch.get_rng_state())


def test_a_small_problem_is_learned(load, dataset, frozen) -> None:
    detector = load()
    before = pixel_gap(detector, dataset)
    epochs = list(Trainer(detector, frozen, Training(epochs=15, learning_rate=0.02), seed=0).epochs())
    assert [epoch.number for epoch in epochs] == list(range(1, 16))
    sums = [sum(epoch.losses.values()) for epoch in epochs]
    assert sums[-1] < 0.8 * sums[0]
    # The map now says where: bright squares are above their surroundings, by far more than at first.
    assert pixel_gap(detector, dataset) > max(before, 0) + 0.1


def pixel_gap(detector: Detector, dataset) -> float:
    """Return how far the map inside the masks lies above the map outside."""
    frozen = freeze(detector, [dataset])
    prediction = detector.score(frozen.batch(range(len(frozen)), torch.device("cpu")).features)
    inside = prediction.anomaly_map[frozen.masks].mean()
    return float(inside - prediction.anomaly_map[frozen.anomalous][~frozen.masks[frozen.anomalous]].mean())


def test_a_detector_can_be_asked_after_every_epoch(load, dataset, frozen) -> None:
    detector = load()
    image = dataset.images[0].image
    answers = [float(detector.predict([image]).score[0])]
    with torch.no_grad():  # as callers may have it
        for _ in Trainer(detector, frozen, PLAN, seed=0).epochs():
            answers.append(float(detector.predict([image]).score[0]))
    assert len(set(answers)) == 3  # no cached prompt of an earlier epoch
    fresh = load_detector("anomalyclip", backbone=detector.backbone, untrained=True)
    fresh.load_state_dict(detector.state_dict())
    assert float(fresh.predict([image]).score[0]) == answers[-1]


def test_one_epoch_equals_computing_the_features_anew(load, dataset, frozen) -> None:
    """A whole epoch in one batch, so that its loss is that of the untouched parameters."""
    detector = load()
    plan = Training(epochs=1, batch_size=len(frozen), map_weight=3, image_weight=0.5)
    features = detector.encode([i.image for i in dataset.images], [i.noun for i in dataset.images])
    with torch.no_grad():
        conditioning = detector.condition(features)
        scores = detector.part("scorer")(detector.adapt(features), conditioning)
        (entry,) = scores.sets
        maps = torch.nn.functional.interpolate(
            entry.values.softmax(1), (64, 64), mode="bilinear", align_corners=False
        )
        expected = {
            "map": 3 * float(map_loss(maps, frozen.masks.float())),
            "image": 0.5 * float(image_loss(scores.image_score, frozen.anomalous)),
        }
    (epoch,) = Trainer(detector, frozen, plan, seed=0).epochs()
    # Half precision keeps eleven bits of each feature, and 1 / 0.07 multiplies what is lost.
    assert epoch.losses == pytest.approx(expected, rel=1e-3)
    exact = freeze(load(), [dataset], batch_size=len(frozen))
    whole = type(exact)(features, exact.masks, exact.anomalous)
    (epoch,) = Trainer(load(), whole, plan, seed=0).epochs()
    assert epoch.losses == pytest.approx(expected, rel=1e-5)


def test_losses_of_an_epoch_are_means_over_images(load, frozen) -> None:
    """With a rate near zero, eight images in batches of 3, 3 and 2 lose what they lose in one batch."""
    losses = []
    for batch_size in (3, 8):
        plan = Training(epochs=1, batch_size=batch_size, learning_rate=1e-12)
        (epoch,) = Trainer(load(), frozen, plan, seed=0).epochs()
        losses.append(epoch.losses)
    assert losses[0]["image"] == pytest.approx(losses[1]["image"], rel=1e-4)
    assert losses[0]["map"] == pytest.approx(losses[1]["map"], rel=1e-4)


def test_without_image_weight_no_image_loss_is_taken(train) -> None:
    _, epochs = train(PLAN.model_copy(update={"image_weight": 0.0}))
    assert set(epochs[0].losses) == {"map"}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_divergence_is_said(load, frozen, value) -> None:
    detector = load()
    with torch.no_grad():
        learned_parameters(detector)["prompt_learner.context"].fill_(value)
    sentence = r"diverged: losses or weights of epoch 1 are not finite; .* below 0\.02 \(--lr\)"
    with pytest.raises(ZsadError, match=sentence) as caught:
        list(Trainer(detector, frozen, PLAN, seed=0).epochs())
    assert caught.value.exit_code == 1


def test_weights_lost_in_the_last_step_are_not_taken_for_learned(load, frozen) -> None:
    detector = load()
    learned_parameters(detector)["prompt_learner.deep"].register_hook(lambda gradient: gradient / 0)
    with pytest.raises(ZsadError, match="diverged"):
        list(Trainer(detector, frozen, Training(epochs=1, batch_size=8), seed=0).epochs())


def test_the_card_says_what_was_learned_from_what(load, dataset) -> None:
    detector = load()
    other = dataset.restricted_to(dataset.classes)
    card = weights_card(detector, [dataset, other])
    assert (card.method, card.origin) == ("anomalyclip", "own")
    assert card.parts == {"prompt_learner": "anomalyclip.prompts"}
    assert card.backbone == detector.backbone.sha256
    assert card.profile == detector.recipe.profile.binding()
    assert card.text_activation == detector.recipe.text_profile.activation
    assert card.trained_on == (
        TrainedOn(dataset="squares", classes=("squares",), manifest=dataset.manifest_hash),
    ) * 2  # fmt: skip
    assert len(dataset.manifest_hash) == 64


def test_a_method_that_learns_nothing(load, frozen) -> None:
    with pytest.raises(InputError, match="method 'clip-baseline' learns nothing"):
        Trainer(load("clip-baseline"), frozen, PLAN, seed=0)


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["post_processors+=acme.gain"], r"cannot be trained yet: 'acme\.gain' \(post_processors\) learns"),
        (
            ["scorer=acme.whole", "post_processors=[]"],
            r"its scorer 'acme\.whole' scores whole sets, not batches",
        ),
    ],
)
def test_what_the_losses_do_not_reach_is_refused(load, overrides, sentence) -> None:
    with pytest.raises(InputError, match=sentence):
        learned_parameters(load("anomalyclip", *overrides, host=get_host()))


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize(
    ("scorer", "sentence"),
    [
        ("acme.mapless", "the scorer of 'anomalyclip' gives no score per patch"),
        ("acme.single", "the scores of 'one' have no two states"),
    ],
)
def test_scores_that_no_loss_can_judge(load, frozen, scorer, sentence) -> None:
    detector = load("anomalyclip", f"scorer={scorer}", "post_processors=[]", host=get_host())
    with pytest.raises(InputError, match=sentence):
        list(Trainer(detector, frozen, PLAN, seed=0).epochs())


@pytest.mark.usefixtures("acme")
def test_an_adapter_learns_and_its_buffers_are_saved(load, frozen, tmp_path, dataset) -> None:
    words = ("clip-baseline", "feature_adapter=acme.scale")
    detector = load(*words, host=get_host())
    assert set(learned_parameters(detector)) == {"feature_adapter.scale"}
    list(Trainer(detector, freeze(detector, [dataset]), PLAN, seed=0).epochs())
    state = learned_state(detector)
    assert set(state) == {"feature_adapter.scale", "feature_adapter.centre"}
    assert float((state["feature_adapter.scale"] - 1).abs().min()) > 0
    assert bool((state["feature_adapter.centre"] == 0.25).all())
    path = tmp_path / "weights.safetensors"
    save_weights(path, state, weights_card(detector, [dataset]))
    fresh = load(*words, host=get_host())
    cards = load_weights(
        {"feature_adapter": fresh.parts["feature_adapter"]}, fresh.recipe, path, fresh.backbone.sha256
    )
    assert cards["feature_adapter"].method == "clip-baseline"
    image = np.full((64, 64, 3), 90, np.uint8)
    torch.testing.assert_close(fresh.predict([image]).score, detector.predict([image]).score, rtol=0, atol=0)
