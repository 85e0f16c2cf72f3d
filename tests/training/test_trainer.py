"""Training changes what a method learns, and nothing else."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.loading import load_detector
from tests.training.memory import MemoryBatches
from zsad.backbones.card import TrainedOn
from zsad.backbones.clip import state_digest
from zsad.backbones.loading import load_backbone
from zsad.detect.detector import Detector
from zsad.errors import InputError, ZsadError
from zsad.plugin.host import get_host
from zsad.recipe.training import Training
from zsad.training.learner import check_rates, learned_parameters, learned_state, seen, weights_card
from zsad.training.losses import cross_entropy, dice, focal
from zsad.training.processes import Processes
from zsad.training.trainer import Epoch, Trainer
from zsad.weights.loading import load_weights, save_weights

PLAN = Training(epochs=2, batch_size=3, learning_rate=0.02)

PLUGIN = """
from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import PartSpec
zsad_api = 1

@hookimpl
def zsad_parts():
    yield PartSpec("acme.gain", "post_processors", "acme_parts:Gain", "A step.", learnable=True)
    yield PartSpec("acme.scale", "feature_adapter", "acme_parts:Scale", "An adapter.", learnable=True)
    yield PartSpec("acme.mapless", "scorer", "acme_parts:Mapless", "Only image scores.",
                   provides={"image_score", "anomaly_map"})
    yield PartSpec("acme.whole", "scorer", "acme_parts:Whole", "Whole sets.", two_phase=True,
                   provides={"image_score", "anomaly_map"})
    yield PartSpec("acme.single", "scorer", "acme_parts:Single", "One state.",
                   provides={"image_score", "anomaly_map"})
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
    return MemoryBatches(load(), dataset)


@pytest.fixture
def acme(site: Any) -> None:
    site.install("acme", {"acme_plugin.py": PLUGIN, "acme_parts.py": PARTS}, {"acme": "acme_plugin"})


@pytest.fixture
def train(load, frozen) -> Callable[..., tuple[Detector, list[Epoch]]]:
    def run(plan: Training = PLAN, *overrides: str, seed: int = 0) -> tuple[Detector, list[Epoch]]:
        detector = load("anomalyclip", *overrides, seed=seed)
        return detector, list(training(detector, frozen, plan, seed=seed).epochs())

    return run


def training(detector: Detector, batches: MemoryBatches, plan: Training, *, seed: int = 0) -> Trainer:
    """Return a trainer of everything that the detector learns."""
    return Trainer(detector, plan, batches, learned_parameters(detector), host=get_host(), seed=seed)


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
    list(training(detector, frozen, PLAN, seed=0).epochs())
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
        list(training(detector, frozen, PLAN, seed=seed).epochs())
        found.append(learned_state(detector)["prompt_learner.context"])
    assert not torch.equal(*found)


def test_training_leaves_the_global_random_state_alone(train) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    train()
    assert torch.equal(before, torch.get_rng_state())


class Idle(Processes):
    """A process that has no image in any step, and gets the gradients of another."""

    def share(self, places: Sequence[int]) -> list[int]:
        return []

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        for parameter in parameters:
            parameter.grad = torch.ones_like(parameter)


def test_a_process_without_images_steps_with_a_scaler_too(load, frozen) -> None:
    detector = load()
    before = {name: tensor.clone() for name, tensor in learned_state(detector).items()}
    trainer = training(detector, frozen, PLAN)
    trainer._processes = Idle(torch.device("cpu"))
    trainer._scaler = torch.amp.GradScaler("cpu")  # as float16 has it, which autocast takes on GPUs alone
    for epoch in trainer.epochs():
        assert set(epoch.losses.values()) == {0.0}
    assert not any(torch.equal(tensor, before[name]) for name, tensor in learned_state(detector).items())


def test_a_small_problem_is_learned(load, dataset, frozen) -> None:
    detector = load()
    before = pixel_gap(detector, dataset)
    epochs = list(training(detector, frozen, Training(epochs=15, learning_rate=0.02), seed=0).epochs())
    assert [epoch.number for epoch in epochs] == list(range(1, 16))
    sums = [sum(epoch.losses.values()) for epoch in epochs]
    assert sums[-1] < 0.8 * sums[0]
    # The map now says where: bright squares are above their surroundings, by far more than at first.
    assert pixel_gap(detector, dataset) > max(before, 0) + 0.1


def pixel_gap(detector: Detector, dataset) -> float:
    """Return how far the map inside the masks lies above the map outside."""
    frozen = MemoryBatches(detector, dataset)
    prediction = detector.score(frozen.features)
    inside = prediction.anomaly_map[frozen.masks].mean()
    return float(inside - prediction.anomaly_map[frozen.anomalous][~frozen.masks[frozen.anomalous]].mean())


def test_a_detector_can_be_asked_after_every_epoch(load, dataset, frozen) -> None:
    detector = load()
    image = dataset.images[0].image
    answers = [float(detector.predict([image]).score[0])]
    with torch.no_grad():  # as callers may have it
        for _ in training(detector, frozen, PLAN, seed=0).epochs():
            answers.append(float(detector.predict([image]).score[0]))
    assert len(set(answers)) == 3  # no cached prompt of an earlier epoch
    fresh = load_detector("anomalyclip", backbone=detector.backbone, untrained=True)
    fresh.load_state_dict(detector.state_dict())
    assert float(fresh.predict([image]).score[0]) == answers[-1]


def test_one_epoch_equals_computing_the_losses_by_hand(load, dataset, frozen) -> None:
    """A whole epoch in one batch, so that its loss is that of the untouched parameters."""
    detector = load()
    plan = Training(epochs=1, batch_size=len(frozen), losses={"focal": 3, "dice": 2, "image": 0.5})
    features, mask = frozen.features, frozen.masks.float()
    with torch.no_grad():
        scores = detector.part("scorer")(features, detector.condition(features))
        (entry,) = scores.sets
        maps = torch.nn.functional.interpolate(
            entry.values.softmax(1), (64, 64), mode="bilinear", align_corners=False
        )
        expected = {
            "focal": 3 * float(focal(maps, mask).mean()),
            "dice": 2 * float((dice(maps[:, 1], mask) + dice(maps[:, 0], 1 - mask)).mean()),
            "image": 0.5 * float(cross_entropy(scores.image_score, frozen.anomalous).mean()),
        }
    (epoch,) = training(detector, frozen, plan).epochs()
    assert epoch.losses == pytest.approx(expected, rel=1e-5)


def test_weights_of_images_weigh_their_losses(load, frozen) -> None:
    """Weights 1 and 0 give half of what the images with 1 lose by themselves."""
    plan = Training(epochs=1, batch_size=8, learning_rate=1e-12)

    class Weighted(MemoryBatches):
        def __init__(self) -> None:
            vars(self).update(vars(frozen))

        def batch(self, places, device):
            batch = super().batch(places, device)
            return replace(batch, weights=batch.anomalous.float())

    (half,) = training(load(), Weighted(), plan).epochs()
    lost = []
    for place in torch.nonzero(frozen.anomalous)[:, 0].tolist():
        alone = replace_images(frozen, [place])
        (epoch,) = training(load(), alone, plan).epochs()
        lost.append(epoch.losses["image"])
    assert half.losses["image"] == pytest.approx(sum(lost) / len(frozen), rel=1e-4)


def replace_images(batches: MemoryBatches, places: list[int]) -> MemoryBatches:
    """Return a source of some of another's images."""
    chosen = MemoryBatches.__new__(MemoryBatches)
    chosen.features = batches.features.select(places)
    chosen.masks, chosen.anomalous = batches.masks[places], batches.anomalous[places]
    return chosen


def test_losses_of_an_epoch_are_means_over_images(load, frozen) -> None:
    """With a rate near zero, eight images in batches of 3, 3 and 2 lose what they lose in one batch."""
    losses = []
    for batch_size in (3, 8):
        plan = Training(epochs=1, batch_size=batch_size, learning_rate=1e-12)
        (epoch,) = training(load(), frozen, plan, seed=0).epochs()
        losses.append(epoch.losses)
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_a_loss_without_weight_is_not_taken(train) -> None:
    _, epochs = train(Training(epochs=1, losses={"focal": 1, "dice": 1, "image": 0}))
    assert set(epochs[0].losses) == {"focal", "dice"}


@pytest.mark.parametrize(
    ("losses", "sentence"),
    [
        ({"focl": 1}, "loss 'focl'.*'focal'"),
        ({"dice": {"options": {"state": "both"}}}, "loss 'dice': 'state' is not known"),
        ({"focal": {"options": {"gamma": 2}}}, "loss 'focal' has no options, but 'gamma'"),
        ({"focal": 0}, "no loss has a weight above 0"),
    ],
)
def test_losses_that_there_are_not(load, frozen, losses, sentence) -> None:
    with pytest.raises(InputError, match=sentence):
        training(load(), frozen, Training(losses=losses))


def test_a_rate_of_its_own_and_what_does_not_learn(load, frozen) -> None:
    detector = load()
    start = {name: tensor.clone() for name, tensor in learned_state(detector).items()}
    plan = Training(epochs=1, batch_size=8, learning_rates={"*.deep": 1e-12}, learn=("prompt_learner.*",))
    list(training(detector, frozen, plan).epochs())
    moved = {name: float((t - start[name]).abs().max()) for name, t in learned_state(detector).items()}
    assert moved["prompt_learner.deep"] < 1e-6 < 5e-4 < moved["prompt_learner.context"]

    chosen = learned_parameters(load(), ["*.context"])
    assert set(chosen) == {"prompt_learner.context"}
    with pytest.raises(InputError, match=r"training\.learn: no parameter of 'anomalyclip' fits '\*\.depp'"):
        learned_parameters(load(), ["*.depp"])


def test_a_cosine_ends_at_rest(load, frozen) -> None:
    """The last of n steps has the rate lr (1 + cos(pi (n - 1) / n)) / 2, and with lr alone Adam's step."""
    trainer = training(load(), frozen, Training(epochs=2, batch_size=8, schedule="cosine"))
    rates = []
    for _ in trainer.epochs():
        rates.append(trainer.state()["optimiser"]["param_groups"][0]["lr"])
    assert rates == pytest.approx([5e-4, 0.0])


def test_adamw_decays_what_has_no_gradient(load, frozen) -> None:
    detector = load()
    parameter = learned_parameters(detector)["prompt_learner.deep"]
    parameter.register_hook(lambda gradient: gradient * 0)
    before = parameter.detach().clone()
    plan = Training(epochs=1, batch_size=8, optimiser="adamw", weight_decay=0.5, learning_rate=0.1)
    list(training(detector, frozen, plan).epochs())
    torch.testing.assert_close(parameter.detach(), before * (1 - 0.1 * 0.5))


def test_bfloat16_learns_like_float32(load, frozen) -> None:
    losses = []
    for precision in ("float32", "bfloat16"):
        detector = load()
        trainer = Trainer(detector, PLAN, frozen, learned_parameters(detector), host=get_host(), seed=0,
                          precision=precision)  # fmt: skip
        losses.append([epoch.losses["dice"] for epoch in trainer.epochs()])
        assert all(p.dtype == torch.float32 for p in trainer.parameters.values())
    assert losses[0] != losses[1] == pytest.approx(losses[0], rel=0.05)


def test_float16_needs_a_gpu(load, frozen) -> None:
    detector = load()
    with pytest.raises(InputError, match="--precision float16 needs a GPU"):
        Trainer(detector, PLAN, frozen, learned_parameters(detector), host=get_host(), seed=0,
                precision="float16")  # fmt: skip


def test_a_restored_trainer_goes_on_bit_for_bit(load, frozen) -> None:
    plan = Training(epochs=3, batch_size=3, learning_rate=0.02)
    unbroken = training(load(), frozen, plan)
    wanted = list(unbroken.epochs())
    first = training(load(), frozen, plan)
    begun = next(iter(first.epochs()))
    state = copy.deepcopy(first.state())
    second = training(load(seed=9), frozen, plan)
    second.restore(state)
    found = [begun, *second.epochs()]
    assert [epoch.losses for epoch in found] == [epoch.losses for epoch in wanted]
    for name, parameter in unbroken.parameters.items():
        assert torch.equal(parameter, second.parameters[name])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_divergence_is_said(load, frozen, value) -> None:
    detector = load()
    with torch.no_grad():
        learned_parameters(detector)["prompt_learner.context"].fill_(value)
    sentence = r"diverged: losses or weights of epoch 1 are not finite; .* below 0\.02 \(--lr\)"
    with pytest.raises(ZsadError, match=sentence) as caught:
        list(training(detector, frozen, PLAN, seed=0).epochs())
    assert caught.value.exit_code == 1


def test_weights_lost_in_the_last_step_are_not_taken_for_learned(load, frozen) -> None:
    detector = load()
    learned_parameters(detector)["prompt_learner.deep"].register_hook(lambda gradient: gradient / 0)
    with pytest.raises(ZsadError, match="diverged"):
        list(training(detector, frozen, Training(epochs=1, batch_size=8), seed=0).epochs())


def test_the_card_says_what_was_learned_from_what(load, dataset) -> None:
    detector = load()
    other = dataset.restricted_to(dataset.classes)
    card = weights_card(detector, seen([dataset, other]))
    assert (card.method, card.origin) == ("anomalyclip", "own")
    assert card.parts == {"prompt_learner": "anomalyclip.prompts"}
    assert card.backbone == detector.backbone.sha256
    assert card.profile == detector.recipe.profile.binding()
    assert card.text_activation == detector.recipe.text_profile.activation
    assert (
        card.trained_on
        == (
            TrainedOn(
                dataset="squares",
                classes=("squares",),
                manifest=dataset.manifest_hash,
                images=tuple(sorted(dataset.content_marks)),
            ),
        )
        * 2
    )
    assert len(dataset.content_marks) == len({i.image.read_bytes() for i in dataset.images})
    assert len(dataset.manifest_hash) == 64


def test_a_method_that_learns_nothing(load, frozen) -> None:
    with pytest.raises(InputError, match="method 'clip-baseline' learns nothing; with --adapter lora"):
        training(load("clip-baseline"), frozen, PLAN, seed=0)


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["post_processors+=acme.gain"], r"cannot be trained: 'acme\.gain' \(post_processors\) learns"),
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
        ("acme.mapless", "scorer gives no score per patch"),
        ("acme.single", "the scores of 'one' have no two states"),
    ],
)
def test_scores_that_no_loss_can_judge(load, frozen, scorer, sentence) -> None:
    detector = load("anomalyclip", f"scorer={scorer}", "post_processors=[]", host=get_host())
    with pytest.raises(InputError, match=sentence):
        list(training(detector, frozen, PLAN, seed=0).epochs())


@pytest.mark.usefixtures("acme")
def test_an_adapter_learns_and_its_buffers_are_saved(load, frozen, tmp_path, dataset) -> None:
    words = ("clip-baseline", "feature_adapter=acme.scale")
    detector = load(*words, host=get_host())
    assert set(learned_parameters(detector)) == {"feature_adapter.scale"}
    list(training(detector, MemoryBatches(detector, dataset), PLAN, seed=0).epochs())
    state = learned_state(detector)
    assert set(state) == {"feature_adapter.scale", "feature_adapter.centre"}
    assert float((state["feature_adapter.scale"] - 1).abs().min()) > 0
    assert bool((state["feature_adapter.centre"] == 0.25).all())
    path = tmp_path / "weights.safetensors"
    save_weights(path, state, weights_card(detector, seen([dataset])))
    fresh = load(*words, host=get_host())
    cards = load_weights(
        {"feature_adapter": fresh.parts["feature_adapter"]}, fresh.recipe, path, fresh.backbone.sha256
    )
    assert cards["feature_adapter"].method == "clip-baseline"
    image = np.full((64, 64, 3), 90, np.uint8)
    torch.testing.assert_close(fresh.predict([image]).score, detector.predict([image]).score, rtol=0, atol=0)


def test_gradients_are_cut_at_their_norm(load, frozen) -> None:
    plain, cut = load("anomalyclip"), load("anomalyclip")
    plan = Training(epochs=1, batch_size=8, clip_norms={"prompt_learner.context": 1e-4})
    norms = []
    for detector, stage in ((plain, plan.model_copy(update={"clip_norms": {}})), (cut, plan)):
        trainer = training(detector, frozen, stage)
        list(trainer.epochs())
        gradients = {name: value.grad for name, value in trainer.parameters.items()}
        norms.append({name: float(gradient.norm()) for name, gradient in gradients.items()})
    assert norms[0]["prompt_learner.context"] > 2e-4
    assert norms[1]["prompt_learner.context"] == pytest.approx(1e-4, rel=1e-4)
    assert norms[1]["prompt_learner.deep"] == pytest.approx(norms[0]["prompt_learner.deep"])


def test_a_bound_that_fits_no_parameter_is_refused(load) -> None:
    with pytest.raises(InputError, match=r"training\.clip_norms: no parameter of 'anomalyclip' fits 'scorer"):
        check_rates(load("anomalyclip"), Training(clip_norms={"scorer.*": 1}))


def test_a_rate_is_halved_after_its_steps(load, frozen) -> None:
    trainer = training(
        load("anomalyclip"), frozen, Training(epochs=3, batch_size=4, learning_rate=0.08, halve_at=(2, 5))
    )
    rates = [trainer._optimiser.param_groups[0]["lr"] for _ in trainer.epochs()]
    assert rates == pytest.approx([0.04, 0.04, 0.02])  # two steps an epoch


def test_halving_goes_with_a_constant_rate() -> None:
    with pytest.raises(ValueError, match="'halve_at' goes with a constant schedule"):
        Training(halve_at=(5,), schedule="cosine")
