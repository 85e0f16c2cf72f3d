from __future__ import annotations

import json
import re

import pytest

from zsad.cli.main import main
from zsad.plugin.specs import PART_KINDS

SOURCE = """
from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import PartSpec
zsad_api = 1

@hookimpl
def zsad_parts():
    yield PartSpec("acme.score", "scorer", "a:b", "Scores.", requires={"text", "cls"}, learnable=True)
    yield PartSpec("acme.rich", "feature_adapter", "a:b", "Many options.", options="acme_options:Options")
    yield PartSpec("acme.missing", "scorer", "a:b", "No options there.", options="acme_options:Gone")
    yield PartSpec("acme.wrong", "scorer", "a:b", "Other options.", options="json:JSONDecoder")
"""

OPTIONS = """
from typing import Literal
from pydantic import BaseModel, Field

class Options(BaseModel):
    taps: list[int] = Field(default_factory=lambda: [1, 2], description="Where to read.")
    mode: Literal["a", "b"] = "a"
    limit: float | None = None
    width: int = Field(description="Channels.")
"""


@pytest.fixture
def parts(zsad_invert):
    zsad_invert.install(
        "acme", {"acme_plugin.py": SOURCE, "acme_options.py": OPTIONS}, {"acme": "acme_plugin"}
    )
    return zsad_invert


def as_json(capsys, *argv):
    main([*argv, "--json"])
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out)


def failure(capsys, *argv):
    with pytest.raises(SystemExit) as stop:
        main(list(argv))
    out, err = capsys.readouterr()
    assert out == ""
    return stop.value.code, err


@pytest.mark.parametrize("argv", [["parts"], ["parts", "list"]])
def test_list_as_json(parts, capsys, argv):
    found = {part["name"]: part for part in as_json(capsys, *argv)}
    assert found["acme.score"] == {
        "name": "acme.score",
        "kind": "scorer",
        "factory": "a:b",
        "summary": "Scores.",
        "options": None,
        "requires": ["cls", "text"],
        "provides": [],
        "batch_dependent": False,
        "learnable": True,
        "two_phase": False,
        "transductive": False,
        "provisional": [],
        "companions": [],
        "abnormal_references": False,
        "distribution": "acme",
    }
    assert found["invert.invert"]["distribution"] == "zsad-invert"


@pytest.mark.parametrize("kind", PART_KINDS)
def test_list_of_one_kind(parts, capsys, kind):
    everything = as_json(capsys, "parts")
    wanted = [part for part in everything if part["kind"] == kind]
    assert as_json(capsys, "parts", "--kind", kind) == wanted
    assert {"post_processors", "scorer", "feature_adapter"} <= {part["kind"] for part in everything}


def test_an_unknown_kind_comes_with_the_nearest(parts, capsys):
    code, err = failure(capsys, "parts", "list", "--kind", "scorers")
    assert (code, err) == (2, "error: --kind: unknown kind of part 'scorers'; did you mean 'scorer'?\n")


def test_list_is_a_line_a_part(parts, capsys):
    main(["parts", "--kind", "feature_adapter"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["name", "kind", "distribution", "summary"]
    (rich,) = [line for line in lines if line.startswith("acme.rich ")]
    assert rich.split(maxsplit=3) == ["acme.rich", "feature_adapter", "acme", "Many options."]


def test_info_as_json_describes_the_options(parts, capsys):
    part = as_json(capsys, "parts", "info", "acme.rich")
    assert part["kind"] == "feature_adapter"
    assert part["options"] == "acme_options:Options"
    assert part["option_fields"] == [
        {
            "name": "taps",
            "type": "list[int]",
            "default": [1, 2],
            "required": False,
            "description": "Where to read.",
        },
        {
            "name": "mode",
            "type": "Literal['a', 'b']",
            "default": "a",
            "required": False,
            "description": None,
        },
        {
            "name": "limit",
            "type": "float | None",
            "default": None,
            "required": False,
            "description": None,
        },
        {
            "name": "width",
            "type": "int",
            "default": None,
            "required": True,
            "description": "Channels.",
        },
    ]


def test_info_shows_needs_and_options(parts, capsys):
    main(["parts", "info", "acme:acme.score"])
    fields = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert fields["requires"] == "cls, text"
    assert fields["learnable"] == "yes"
    assert "two_phase" not in fields
    main(["parts", "info", "acme.rich"])
    table = [re.split(r"\s{2,}", line) for line in capsys.readouterr().out.splitlines()]
    assert ["taps", "list[int]", "[1, 2]", "Where to read."] in table
    assert ["mode", "Literal['a', 'b']", "a"] in table
    assert ["limit", "float | None", "null"] in table
    assert ["width", "int", "(required)", "Channels."] in table


def test_a_part_without_options_has_an_empty_list(parts, capsys):
    assert as_json(capsys, "parts", "info", "acme.score")["option_fields"] == []


def test_options_that_cannot_be_described_are_one_sentence(parts, capsys):
    code, err = failure(capsys, "parts", "info", "acme.missing")
    assert code == 1
    assert err == "error: cannot import 'acme_options:Gone': module 'acme_options' has no 'Gone'\n"
    code, err = failure(capsys, "parts", "info", "acme.wrong")
    assert (code, err) == (1, "error: 'json:JSONDecoder' is not a pydantic model\n")


def test_an_unknown_part_comes_with_the_nearest(parts, capsys):
    code, err = failure(capsys, "parts", "info", "acme.scor")
    assert (code, err) == (2, "error: unknown part 'acme.scor'; did you mean 'acme.score'?\n")


@pytest.fixture
def small_grid(monkeypatch):
    """Four pairs of the grid: all of them take half a minute."""
    from zsad.recipe import composition

    def grids(host):
        whole = every(host)[0]
        rows = tuple(side for side in whole.rows if side.label in ("none", "winclip.windows"))
        columns = tuple(side for side in whole.columns if side.recipe in ("clip-baseline", "cops"))
        return [composition.Grid("some pairs", rows, columns)]

    every = composition.grids
    monkeypatch.setattr(composition, "grids", grids)


def test_grid_as_json_says_how_a_pair_is_composed(small_grid, capsys):
    main(["parts", "grid", "--image-size", "96", "--json"])
    (grid,) = json.loads(capsys.readouterr().out)
    assert grid["title"] == "some pairs"
    assert [side["label"] for side in grid["rows"]] == ["none", "winclip.windows"]
    pairs = {(pair["first"], pair["second"].split(".")[0]): pair for pair in grid["pairs"]}
    assert {key: (pair["status"], pair["base"]) for key, pair in pairs.items()} == {
        ("none", "standard"): ("recipe", "clip-baseline"),
        ("none", "cops"): ("runs", "cops"),
        ("winclip.windows", "standard"): ("recipe", "winclip"),
        ("winclip.windows", "cops"): ("refused", "winclip"),
    }
    assert pairs["none", "cops"]["overrides"] == ["attention_refiner=none"]
    assert pairs["none", "cops"]["difference"] > 1e-3


def test_grid_as_markdown_and_as_lines(small_grid, capsys):
    main(["parts", "grid", "--image-size", "96", "--markdown"])
    out = capsys.readouterr().out
    assert out.startswith("## Some pairs\n")
    assert "| **winclip.windows** | = `winclip` | refused (1) |" in out
    main(["parts", "grid", "--image-size", "96"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "some pairs"
    assert lines[2].split() == ["first", "second", "status", "base", "difference", "sentence"]
    assert lines[-2] == "4 pairs: 1 run with a map of their own, 2 a recipe as it is, 1 refused."


def test_grid_takes_one_form_of_the_answer(capsys):
    code, err = failure(capsys, "parts", "grid", "--json", "--markdown")
    assert (code, err) == (2, "error: --json and --markdown are two forms of the answer; choose one\n")
