"""The plan of training as data."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from zsad.errors import InputError
from zsad.plugin.host import get_host
from zsad.recipe.overrides import apply_overrides
from zsad.recipe.recipes import load_recipe, recipe_dict, validate_recipe
from zsad.recipe.settings import Settings
from zsad.recipe.training import LossChoice, Training, chosen_losses


def test_a_stage_that_follows_differs_in_what_it_names() -> None:
    plan = Training.model_validate({
        "epochs": 15, "optimiser": "adamw", "losses": {"focal": 1, "dice": 2},
        "then": {"epochs": 5, "learning_rate": 1e-5, "losses": {"image": 1}, "learn": ["scorer.*"]},
    })  # fmt: skip
    first, second = plan.stages
    assert first is plan and first.epochs == 15 and first.learning_rate == 1e-3
    assert (second.epochs, second.learning_rate, second.optimiser) == (5, 1e-5, "adamw")
    assert set(second.losses) == {"image"} and second.learn == ("scorer.*",) and second.then is None


def test_three_stages() -> None:
    plan = Training(then={"epochs": 2, "then": {"epochs": 1}})
    assert [stage.epochs for stage in plan.stages] == [15, 2, 1]


def test_a_wrong_word_in_a_later_stage_is_found_at_once() -> None:
    with pytest.raises(ValidationError, match="epoch\n"):
        Training(then={"epoch": 2})


def test_the_examples_are_those_of_all_stages() -> None:
    assert Training(mosaic=0.2, then={"epochs": 1}).stages[1].mosaic == 0.2
    with pytest.raises(ValidationError, match="'mosaic' cannot differ in 'then'"):
        Training(mosaic=0.2, then={"mosaic": 0.0})


def test_a_loss_is_a_weight_or_more() -> None:
    plan = Training.model_validate({"losses": {"focal": 0, "dice": {"options": {"states": "abnormal"}}}})
    assert plan.losses["dice"] == LossChoice(weight=1, options={"states": "abnormal"})
    assert set(chosen_losses(plan.losses)) == {"dice"}


@pytest.mark.parametrize("values", [{"epochs": 0}, {"learning_rate": 0}, {"betas": (1.0, 0.9)}, {"mosaic": 2},
                                    {"losses": {"focal": -1}}, {"maps": {"upsample": "cubic"}}])  # fmt: skip
def test_values_out_of_range(values) -> None:
    with pytest.raises(ValidationError):
        Training.model_validate(values)


def test_set_reaches_single_losses() -> None:
    data = apply_overrides(
        recipe_dict(get_host(), "anomalyclip"),
        Settings.parse(
            [
                "training.losses.image=8",
                "training.losses.dice={weight: 4, options: {rows: true}}",
                "training.epochs=2",
            ]
        ),
    )
    plan = validate_recipe(data, "anomalyclip").training
    published = load_recipe(get_host(), "anomalyclip").training
    assert plan.losses["image"].weight == 8 and plan.losses["focal"] == published.losses["focal"]
    assert plan.losses["dice"] == LossChoice(weight=4, options={"rows": True}) and plan.epochs == 2


def test_an_option_under_a_bare_weight_would_lose_the_weight() -> None:
    with pytest.raises(InputError, match=r"training\.losses\.dice is 4 and holds no 'options'; set"):
        apply_overrides(
            {"training": {"losses": {"dice": 4}}},
            Settings.parse(["training.losses.dice.options.rows=true"]),
        )


def test_every_recipes_plan_is_complete() -> None:
    host = get_host()
    for name in host.recipes.names():
        for stage in load_recipe(host, name).training.stages:
            for loss in stage.losses:
                host.losses.get(loss)
