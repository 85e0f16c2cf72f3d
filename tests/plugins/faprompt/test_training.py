"""FAPrompt's own training: its losses against loops, what learns, and what comes of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations
from typing import Any

import pytest

from tests.loading import load_detector
from tests.training import slow
from tests.training.slow import array, unit
from tests.training.stages import First, copied, first_step, learn, loads_back
from zsad.backbones.clip import ClipBackbone
from zsad.detect.detector import Detector
from zsad.errors import InputError
from zsad.plugin.host import get_host
from zsad.recipe.recipes import load_recipe
from zsad.training.learner import learned_state

MIXED, NORMAL_ONLY, ANOMALOUS_ONLY = [0, 4, 1], [4, 5], [0, 1, 2]
FEW = "prompt_conditioner.count=4"


@pytest.fixture
def load(tiny_backbone: ClipBackbone) -> Callable[..., Detector]:
    def loaded(*overrides: str, method: str = "faprompt", **options: Any) -> Detector:
        options = {"backbone": tiny_backbone, "image_size": 32} | options
        overrides = (FEW, *overrides) if method == "faprompt" else overrides
        return load_detector(method, overrides=overrides, untrained=True, **options)

    return loaded


def slow_maps(first: First, place: int) -> float:
    """Return the losses of one look's maps, averaged over the images."""
    found = []
    for image, mask in enumerate(array(first.batch.masks)):
        plane = slow.softmax(array(first.scores.sets[place].values[image]), 0)
        large = slow.enlarged(plane, 32, "bilinear")
        found.append(slow.focal(large, mask) + slow.dice(large[1], mask) + slow.dice(large[0], 1 - mask))
    return sum(found) / len(found)


@pytest.mark.parametrize("places", [MIXED, NORMAL_ONLY, ANOMALOUS_ONLY])
@pytest.mark.parametrize("twice", [False, True])
def test_losses_against_loops(load, squares, places, twice) -> None:
    first = first_step(
        load(f"training.losses.faprompt-score.options.second_sigmoid={twice}".lower()), squares, places
    )
    image, score, pairs, shift = [], [], [], 0.0
    provisional = first.conditioning.provisional
    assert provisional is not None and provisional.conditioning.raw is not None
    for place, label in enumerate(first.batch.anomalous.tolist()):
        text = array(first.conditioning.text_features[place])
        feature = unit(array(first.adapted.image_feature[place]))
        image.append(slow.cross_entropy(text @ feature / 0.07, label))
        chance = float(first.scores.image_score[place].detach())
        chance = 1 / (1 + math.exp(-chance)) if twice else chance
        chance = chance if label else 1 - chance
        score.append((1 - chance) ** 2 * -math.log(chance))
        rows = unit(array(provisional.conditioning.raw[place, 1:]))
        pairs.append(sum(abs(float(a @ b)) for a, b in combinations(rows, 2)))
        if not label:
            shift += float((array(first.conditioning.intermediates["faprompt.shift"][place]) ** 2).mean())
    count = len(places)
    assert first.losses == pytest.approx(
        {
            "faprompt-first-maps": slow_maps(first, 0),
            "faprompt-maps": 0.5 * slow_maps(first, 1),
            "faprompt-image": sum(image) / count,
            "faprompt-score": sum(score) / count,
            "faprompt-pairs": 0.1 * sum(pairs) / count,
            "faprompt-shift": shift,
        },
        rel=1e-4,
    )


def test_everything_learns_and_the_loss_falls(load, squares, tmp_path) -> None:
    detector = load()
    before = copied(learned_state(detector))
    (stage,) = learn(detector, squares, epochs=4, batch_size=4)
    assert stage.fell and not stage.same and stage.changed == set(before)
    loads_back(detector, load(seed=1), squares, tmp_path / "weights.safetensors")


@pytest.mark.parametrize(
    ("loss", "sentence"),
    [
        ("faprompt-first-maps", "needs scores by the unshifted prompts"),
        ("faprompt-pairs", "needs the features of unshifted prompts"),
        ("faprompt-shift", r"needs the shift of faprompt\.prior"),
    ],
)
def test_losses_that_need_the_prior_say_so(load, squares, loss, sentence) -> None:
    other = load(f"training.losses={{{loss}: 1}}", method="anomalyclip")
    with pytest.raises(InputError, match=sentence):
        first_step(other, squares, MIXED)


def test_the_plan_is_that_of_the_authors() -> None:
    plan = load_recipe(get_host(), "faprompt").training
    assert (plan.epochs, plan.batch_size, plan.optimiser, plan.learning_rate) == (15, 8, "adam", 1e-3)
    assert plan.betas == (0.5, 0.999)
    assert {name: choice.weight for name, choice in plan.losses.items()} == {
        "faprompt-first-maps": 1, "faprompt-maps": 0.5, "faprompt-image": 1, "faprompt-score": 1,
        "faprompt-pairs": 0.1, "faprompt-shift": 1,
    }  # fmt: skip
