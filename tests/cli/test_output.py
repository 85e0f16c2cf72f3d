from __future__ import annotations

import json
from pathlib import Path

import pytest

from zsad.cli.output import print_fields, print_json, print_message, print_table, stderr_console
from zsad.plugin.specs import BackboneSpec, PartSpec


def test_json_of_specs_sets_and_paths(capsys):
    part = PartSpec("a.b", "scorer", "m:f", "Ü.", requires={"z", "b"})
    print_json({"part": part, "path": Path("a/b"), "backbones": [BackboneSpec("m", "m:f", "M.")]})
    out, err = capsys.readouterr()
    value = json.loads(out)
    assert (value["part"]["requires"], value["part"]["summary"]) == (["b", "z"], "Ü.")
    assert value["path"] == "a/b"
    assert value["backbones"] == [
        {"name": "m", "factory": "m:f", "summary": "M.", "card": None, "default": False}
    ]
    assert err == ""


@pytest.mark.parametrize(("value", "error"), [(float("nan"), ValueError), (object(), TypeError)])
def test_what_json_cannot_say_is_refused(value, error, capsys):
    with pytest.raises(error):
        print_json([value])
    assert capsys.readouterr().out == ""


def test_a_plain_table_is_aligned(capsys):
    print_table([{"a": "long word", "b": None}, {"a": True, "b": [1, 2]}, {"b": "two\nlines"}], ("a", "b"))
    assert capsys.readouterr().out == "a          b\nlong word\nyes        1, 2\n           two lines\n"


def test_a_table_on_a_terminal_leaves_markup_alone(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    print_table([{"a": "[bold]x[/nope]"}], ("a",))
    assert "[bold]x[/nope]" in capsys.readouterr().out


def test_empty_fields_are_left_out(capsys):
    print_fields({"name": "x", "nothing": None, "none": (), "longer": False})
    assert capsys.readouterr().out == "name    x\nlonger  no\n"


def test_notices_go_to_stderr(capsys):
    print_message("one")
    stderr_console().print("[two]")
    assert capsys.readouterr() == ("", "one\n[two]\n")
