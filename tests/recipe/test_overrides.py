from __future__ import annotations

import pytest

from zsad.errors import InputError
from zsad.recipe.overrides import apply_overrides
from zsad.recipe.settings import Settings

RECIPE = {
    "name": "m",
    "summary": "s",
    "fidelity": "paper",
    "parts": {
        "scorer": {"use": "a.cosine", "options": {"temperature": 1}},
        "post_processors": ["a.softmax", {"use": "a.blur", "options": {"sigma": 4}}],
    },
}


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("scorer=b.other", ["parts", "scorer"], "b.other"),
        ("scorer.temperature=0.07", ["parts", "scorer", "options"], {"temperature": 0.07}),
        ("scorer.start.fraction=1/4", ["parts", "scorer", "options", "start"], {"fraction": "1/4"}),
        ("post_processors+=c.new", ["parts", "post_processors", 2], "c.new"),
        ("post_processors-=blur", ["parts", "post_processors"], ["a.softmax"]),
        ("post_processors=[c.new, a.blur]", ["parts", "post_processors"], ["c.new", "a.blur"]),
        ("post_processors.blur.sigma=2", ["parts", "post_processors", 1, "options"], {"sigma": 2}),
        ("post_processors.a.blur.sigma=2", ["parts", "post_processors", 1, "options"], {"sigma": 2}),
        ("auxiliary=d.boxes", ["parts", "auxiliary"], ["d.boxes"]),
        ("prompt_learner=none", ["parts", "prompt_learner"], None),
        ("readout.taps=[1, 2]", ["readout", "taps"], [1, 2]),
        ("profile=official", ["profile"], "official"),
        ("image_size=336", ["image_size"], 336),
    ],
)
def test_each_form(override: str, path: list, value: object) -> None:
    found = apply_overrides(RECIPE, Settings.parse([override]))
    for step in path:
        found = found[step]
    assert found == value
    assert RECIPE["parts"]["scorer"]["options"] == {"temperature": 1}  # the recipe itself stays


def test_field_of_a_named_profile() -> None:
    found = apply_overrides(RECIPE, Settings.parse(["profile=official", "profile.activation=gelu"]))
    assert found["profile"] == {"base": "official", "activation": "gelu"}


@pytest.mark.parametrize(
    ("override", "part"),
    [
        ("scorer", "write part.option=value"),
        ("scorr=a.b", "'scorer'"),
        ("scorer+=a.b", "single part"),
        ("prompt_learner.words=x", "choose one first"),
        ("post_processors-=gaussian", "a.softmax, a.blur"),
        ("post_processors.blr.sigma=1", "'a.blur'"),
        ("scorer=3", "by name"),
        ("scorer.temperature=[", "YAML"),
        ("post_processors+=none", "name the part"),
    ],
)
def test_what_fits_nothing_is_named(override: str, part: str) -> None:
    with pytest.raises(InputError) as refusal:
        apply_overrides(RECIPE, Settings.parse([override]))
    assert part in str(refusal.value) and f"--set {override}" in str(refusal.value)


def test_a_part_of_a_list_is_the_same_by_its_short_name() -> None:
    settings = Settings.parse(["post_processors.blur.sigma=2", "post_processors.a.blur.sigma=3"])
    with pytest.raises(
        InputError, match=r"a\.blur\.sigma=3: --set post_processors\.blur\.sigma=2 has set it"
    ):
        apply_overrides(RECIPE, settings)


def test_other_sections_are_no_recipes() -> None:
    settings = Settings.parse(["generator.area=1", "examples.clean=0.1", "adapter.rank=3"])
    assert apply_overrides(RECIPE, settings) == RECIPE
