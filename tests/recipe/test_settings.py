"""The one grammar of ``--set``."""

from __future__ import annotations

import subprocess
import sys

import pytest

from zsad.errors import InputError, ZsadWarning
from zsad.recipe.settings import NO_SETTINGS, Settings

GIVEN = [
    "scorer=b.other",
    "scorer.temperature=0.07",
    "post_processors+=c.new",
    "post_processors+=c.new",
    "post_processors-=blur",
    "image_size=336",
    "training.losses.dice={weight: 4}",
    "generator.area=[0.1, 0.2]",
    "generator.noise.seed=3",
    "generator.noise.kind=perlin",
    "examples.clean=0.3",
    "examples.posterior={prior: 0.2}",
    "examples.posterior.subsets=3",
    "adapter.rank=4",
]


def test_every_setting_belongs_to_one_section() -> None:
    settings = Settings.parse(GIVEN)
    assert settings.texts == GIVEN and settings and not NO_SETTINGS
    assert settings.of("recipe").texts == GIVEN[:6]
    assert settings.of("training").texts == GIVEN[6:7]
    assert settings.of("recipe", "training").texts == GIVEN[:7]
    setting = settings.given[1]
    assert (setting.path, setting.operator, setting.value) == ("scorer.temperature", "=", 0.07)
    assert [entry.operator for entry in settings.given[2:5]] == ["+=", "+=", "-="]


def test_options_are_plain_data() -> None:
    settings = Settings.parse(GIVEN)
    assert settings.options("generator") == {"area": [0.1, 0.2], "noise": {"seed": 3, "kind": "perlin"}}
    assert settings.options("examples") == {"clean": 0.3, "posterior": {"prior": 0.2, "subsets": 3}}
    assert settings.options("examples") == {"clean": 0.3, "posterior": {"prior": 0.2, "subsets": 3}}
    assert settings.given[11].value == {"prior": 0.2}  # what was read stays as it was
    assert settings.options("adapter") == {"rank": 4}
    assert NO_SETTINGS.options("adapter") == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("scorer", r"write part\.option=value, part=name or post_processors\+=name"),
        ("=3", "write part.option=value"),
        ("scorer..temperature=3", "write part.option=value"),
        ("scorer.=3", "write part.option=value"),
        ("scorr=a.b", "there is no 'scorr' to set; did you mean 'scorer'"),
        ("trainin.epochs=2", "did you mean 'training'"),
        ("generator=scar", r"write generator\.OPTION=VALUE"),
        ("adapter.rank", r"write adapter\.OPTION=VALUE"),
        ("image_size+=3", "'image_size' is no list; write image_size=value"),
        ("generator.area+=3", "'generator' is no list"),
        ("scorer.temperature=[", "not a value in YAML"),
    ],
)
def test_other_forms_are_named(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as refusal:
        Settings.parse([text])
    assert str(refusal.value).startswith(f"--set {text}: ")


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["scorer.t=1", "scorer.t=1"], r"--set scorer\.t=1: --set scorer\.t=1 has set it already"),
        (["generator.a=1", "generator.a=2"], r"--set generator\.a=2: --set generator\.a=1 has set it"),
        (["training={epochs: 2}", "training.epochs=3"], r"--set training=\{epochs: 2\} has set it already"),
        (
            ["training.losses={a: {weight: 1}}", "training.losses.a.weight=2"],
            r"--set training\.losses\.a\.weight=2: .* has set it already",
        ),
        (
            ["scorer.t=1", "scorer=b.c"],
            r"--set scorer=b\.c: this would undo --set scorer\.t=1; put it before",
        ),
        (["post_processors+=a.b", "post_processors=c.d"], r"undo --set post_processors\+=a\.b"),
        (["examples.clean=0.1", "examples.clean.b=1"], "'clean' has a value already"),
    ],
)
def test_nothing_is_said_twice_or_undone(texts: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Settings.parse(texts)


def test_a_part_that_is_added_twice_is_told() -> None:
    with pytest.warns(
        ZsadWarning, match=r"post_processors\+=a\.b is given 2 times, so the part runs 2"
    ) as said:
        Settings.parse(["post_processors+=a.b", "post_processors+=a.c", "post_processors+=a.b"])
    assert len(said) == 1


def test_what_only_adds_may_be_said_together() -> None:
    texts = ["profile=official", "profile.activation=gelu", "training={epochs: 2}", "training.batch_size=3",
             "training.epochs2=1"]  # fmt: skip
    assert Settings.parse(texts).texts == texts


def test_an_option_of_its_own_becomes_a_setting() -> None:
    settings = Settings.parse(["training.losses.image=0"]).with_value("training.epochs", 3, "--epochs")
    assert settings.texts == ["training.losses.image=0", "training.epochs=3"]
    assert settings.given[1].value == 3
    with pytest.raises(InputError, match=r"--lr and --set training\.learning_rate=1 say the same thing"):
        Settings.parse(["training.learning_rate=1"]).with_value("training.learning_rate", 1, "--lr")


def test_the_grammar_needs_no_torch() -> None:
    modules = "zsad.recipe.settings, zsad.detect.request, zsad.evaluation.request, zsad.training.request"
    code = f"import sys, {modules}; print({{'torch', 'peft', 'open_clip'}} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"
