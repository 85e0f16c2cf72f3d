"""Any part swappable: refiners crossed with prompts, conditioners with prompt learners."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from zsad.backbones.loading import load_backbone
from zsad.data.examples import example_pair
from zsad.errors import InputError
from zsad.evaluation.composition import Composer, difference
from zsad.plugin.host import get_host
from zsad.recipe.composition import Grid, Pair, Side, as_markdown, grids
from zsad.recipe.recipes import load_recipe
from zsad.recipe.resolved import resolved_part

DOCS = Path(__file__).parents[2] / "docs" / "composition.md"

BROKEN = """
from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import PartSpec, RecipeSpec
zsad_api = 1

def crash(options, context):
    return 1 // 0

@hookimpl
def zsad_parts():
    yield PartSpec("acme.crash", "attention_refiner", ":crash", "Crashes.")

@hookimpl
def zsad_recipes():
    yield RecipeSpec("acme", "acme:recipe.yaml")
    yield RecipeSpec("acme-missing", "acme:missing.yaml")
"""

RECIPE = """
name: acme
summary: A recipe whose refiner crashes.
fidelity: inspired
parts:
  attention_refiner: acme.crash
  prompt_learner: {use: standard.templates, options: {words: "zsad_prompts:winclip.yaml"}}
  scorer: standard.cosine
  post_processors: [standard.softmax, standard.upsample, standard.fuse]
"""


@pytest.fixture(scope="module")
def composer() -> Composer:
    """The composer on mini, with small images."""
    return Composer(get_host(), load_backbone("mini", "cpu", "float32"), example_pair(get_host()), 96)


@pytest.fixture(scope="module")
def refined() -> Grid:
    """Attention refiners by prompt sides."""
    return grids(get_host())[0]


@pytest.fixture(scope="module")
def conditioned() -> Grid:
    """Prompt conditioners by prompt learners."""
    return grids(get_host())[1]


def pair_of(grid: Grid, row: str, column: str) -> tuple[Side, Side]:
    ((first, second),) = [
        pair for pair in grid.pairs() if (pair[0].label, pair[1].label) == (row, column)
    ]  # fmt: skip
    return first, second


def only_while_learning() -> set[str]:
    """Return the parts that recipes name for their training alone."""
    used: set[str] = set()
    learning: set[str] = set()
    for name in get_host().recipes.names():
        recipe = load_recipe(get_host(), name)
        used |= {choice.use for choice in recipe.parts.chosen()}
        for stage in recipe.training.stages:
            learning |= {part["use"] for part in stage.parts.values() if part and "use" in part}
    return learning - used


def test_the_sides_are_the_registered_parts(refined: Grid, conditioned: Grid) -> None:
    assert {side.label for side in refined.rows} >= {
        "none",
        "standard.self_attention",
        "crane.e_attn",
        "crane.d_attn",
        "filo.taps",
        "adaclip.visual_prompts",
        "winclip.windows",
    }
    for side in refined.rows:  # a batch of two shows little of what depends on it
        part = side.choices["attention_refiner"]
        assert part is None or not resolved_part(get_host(), part).batch_dependent
    assert len(refined.rows) >= 7 and len(refined.columns) >= 7
    parts = {name: claim.spec.kind for name, claim in get_host().parts.items()}
    for kind, sides in (("prompt_conditioner", conditioned.rows), ("prompt_learner", conditioned.columns)):
        shown = {part.use for side in sides for part in side.choices.values() if part}
        assert shown == {name for name, own in parts.items() if own == kind} - only_while_learning()
    labels = [side.label for side in refined.columns]
    assert len(labels) == len(set(labels))


def test_stand_ins_are_preferred_to_what_needs_a_download(refined: Grid) -> None:
    (d_attn,) = [side for side in refined.rows if side.label == "crane.d_attn"]
    assert [part.use for part in d_attn.auxiliary] == ["crane.stem"]


@pytest.mark.parametrize(
    ("row", "column", "base"),
    [
        ("crane.e_attn", "anomalyclip.prompts", "anomalyclip"),
        ("crane.e_attn", "standard.templates (aprilgan.yaml)", "aprilgan"),
        ("crane.d_attn", "standard.templates (winclip.yaml)", "clip-baseline"),
        ("filo.taps", "standard.templates (winclip.yaml)", "filo"),
        ("none", "cops.prompts + cops.synthesis", "cops"),
        ("winclip.windows", "crane.prompts", "winclip"),
    ],
)
def test_refiners_meet_prompts(composer: Composer, refined: Grid, row: str, column: str, base: str) -> None:
    pair = composer.compose(*pair_of(refined, row, column))
    assert (pair.status, pair.base) == ("runs", base), pair.sentence
    assert pair.overrides and pair.difference is not None and pair.difference > 1e-3


def test_crane_with_the_synthesis_of_cops(composer: Composer, conditioned: Grid) -> None:
    pair = composer.compose(*pair_of(conditioned, "cops.synthesis", "crane.prompts"))
    assert (pair.status, pair.base) == ("runs", "crane"), pair.sentence


def test_what_a_recipe_has_as_it_is_is_named(composer: Composer, refined: Grid) -> None:
    pair = composer.compose(*pair_of(refined, "standard.self_attention", "standard.templates (winclip.yaml)"))
    assert (pair.status, pair.base, pair.overrides) == ("recipe", "clip-baseline@vv", ())


def test_a_refusal_names_what_the_pair_itself_lacks(
    composer: Composer, refined: Grid, conditioned: Grid
) -> None:
    windows = composer.compose(*pair_of(refined, "winclip.windows", "cops.prompts + cops.synthesis"))
    assert windows.status == "refused"
    assert "'cops.synthesis' (prompt_conditioner) requires 'tokens:joint'" in str(windows.sentence)
    positions = composer.compose(*pair_of(conditioned, "filo.context", "cops.prompts"))
    assert "requires 'filo.positions'" in str(positions.sentence)


def test_a_side_without_an_effect_is_found_out(composer: Composer, refined: Grid) -> None:
    none, winclip = pair_of(refined, "none", "standard.templates (winclip.yaml)")
    pair = composer._attempt(none, winclip, winclip.recipe, none)
    assert (pair.status, pair.difference) == ("same", 0.0)


def test_a_plugin_that_crashes_is_a_finding(site, composer: Composer) -> None:
    site.install("acme", {"acme/__init__.py": BROKEN, "acme/recipe.yaml": RECIPE}, {"acme": "acme"})
    host = get_host()
    first, second = pair_of(grids(host)[0], "acme.crash", "crane.prompts")
    pair = Composer(host, composer.backbone, composer.samples, 96).compose(first, second)
    assert pair.status == "failed"
    assert (
        pair.sentence is not None and "part 'acme.crash' cannot be built: ZeroDivisionError" in pair.sentence
    )


def test_a_difference_is_one_of_shape() -> None:
    found = np.random.default_rng(0).random((2, 4, 4))
    assert difference(found, found + 1e-8) == 0
    assert difference(found, 3 * found + 1) < 1e-12
    assert difference(found, 1 - found) == pytest.approx(1)
    assert difference(np.ones_like(found), found) == 0
    assert difference(np.full_like(found, np.nan), found) == 0
    assert difference(found, np.random.default_rng(1).random((2, 5, 5))[:, :4, :4]) > 0.1


def test_markdown_numbers_each_refusal_once(refined: Grid) -> None:
    grid = Grid("rows by columns", refined.rows[:1], refined.columns[:4])
    labels = [(first.label, second.label) for first, second in grid.pairs()]
    pairs = [
        Pair(*labels[0], "recipe", "a"),
        Pair(*labels[1], "refused", "b", sentence="it requires 'x'"),
        Pair(*labels[2], "runs", "c", difference=0.25),
        Pair(*labels[3], "refused", "d", sentence="it requires 'x'"),
    ]
    text = as_markdown(grid, pairs)
    assert text.startswith("## Rows by columns\n")
    assert "| = `a` | refused (1) | 0.250 on `c` | refused (1) |" in text
    assert "4 pairs: 1 run with a map of their own, 1 a recipe as it is, 2 refused." in text
    assert text.endswith("\n\n1. it requires 'x'")


REFUSALS = r"requires '|has no slot '|which these prompts lack|context tokens \(|has none; use"


@pytest.mark.acceptance
def test_the_whole_grid_is_as_documented() -> None:
    backbone = load_backbone("mini", "cpu", "float32")
    composer = Composer(get_host(), backbone, example_pair(get_host()))
    found = [(grid, [composer.compose(*pair) for pair in grid.pairs()]) for grid in grids(get_host())]
    (_, refined), (_, conditioned) = found
    assert sum(pair.status == "runs" for pair in refined) >= 35
    assert {pair.status for pair in (*refined, *conditioned)} <= {"runs", "recipe", "refused"}
    for pair in (*refined, *conditioned):
        if pair.status == "refused":
            assert re.search(REFUSALS, str(pair.sentence))
    # Winclip's sentences go with every refiner.
    words = [pair for pair in refined if pair.second == "standard.templates (winclip.yaml)"]
    assert len(words) >= 7 and "refused" not in {pair.status for pair in words}
    text = "\n\n".join(as_markdown(grid, pairs) for grid, pairs in found)
    documented = DOCS.read_text(encoding="utf-8")
    masked = [re.sub(r"\b\d\.\d{3}\b", "#", entry).strip() for entry in (text, documented)]
    assert masked[0] in masked[1]


@pytest.mark.parametrize(
    "overrides", [["attention_refiner=filo.taps"], ["attention_refiner=winclip.windows"]]
)
def test_the_documented_refusals_are_sentences(composer: Composer, overrides: list[str]) -> None:
    with pytest.raises(InputError, match=r"at least two blocks|requires 'tokens:joint'"):
        composer._map("anomalyclip", tuple(overrides))
