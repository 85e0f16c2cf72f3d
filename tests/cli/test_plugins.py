from __future__ import annotations

import json

import pytest

from zsad.cli.main import main

SOURCE = """
from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import PartSpec
zsad_api = 1

@hookimpl
def zsad_parts():
    yield PartSpec("invert.invert", "scorer", "a:b", "Another one.")
"""


@pytest.fixture
def plugins(zsad_invert):
    zsad_invert.install("acme", {"acme_plugin.py": "raise OSError('no disk')"}, {"broken": "acme_plugin"})
    zsad_invert.install("beta", {"beta_plugin.py": SOURCE}, {"beta": "beta_plugin"}, version="2.1")
    return zsad_invert


def as_json(capsys, *argv):
    main([*argv, "--json"])
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out)


@pytest.mark.parametrize("argv", [["plugins"], ["plugins", "list"]])
def test_list_as_json(plugins, capsys, argv):
    found = {f"{p['distribution']}:{p['name']}": p for p in as_json(capsys, *argv)}
    assert found["acme:broken"] == {
        "name": "broken",
        "distribution": "acme",
        "version": "1.0",
        "status": "failed",
        "error": "cannot import 'acme_plugin': OSError: no disk",
        "hooks": [],
        "contributions": {},
        "conflicts": [],
    }
    assert found["zsad-invert:invert"]["status"] == "active"
    assert found["zsad-invert:invert"]["conflicts"] == ["invert.invert"]
    assert found["beta:beta"]["contributions"] == {"zsad_parts": ["invert.invert"]}


def test_info_as_json_is_the_entry_of_the_list(plugins, capsys):
    (listed,) = [p for p in as_json(capsys, "plugins") if p["name"] == "beta"]
    assert as_json(capsys, "plugins", "info", "beta") == listed
    assert as_json(capsys, "plugins", "info", "beta:beta") == listed


def test_list_is_aligned_and_says_why(plugins, capsys):
    main(["plugins"])
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert lines[0].split() == ["name", "distribution", "version", "status", "hooks", "note"]
    column = lines[0].index("status")
    (broken,) = [line for line in lines if line.startswith("broken ")]
    assert broken[column:].split("  ")[0] == "failed"
    assert broken.endswith("cannot import 'acme_plugin': OSError: no disk")
    (beta,) = [line for line in lines if line.startswith("beta ")]
    assert beta[column:].split("  ")[0] == "active"
    assert beta.endswith("also claimed by another distribution: invert.invert")


def test_info_says_what_a_plugin_contributes(plugins, capsys):
    main(["plugins", "info", "beta"])
    out, _ = capsys.readouterr()
    assert [line.split(maxsplit=1) for line in out.splitlines()] == [
        ["name", "beta"],
        ["distribution", "beta"],
        ["version", "2.1"],
        ["status", "active"],
        ["conflicts", "invert.invert"],
        ["parts", "invert.invert"],
    ]


def test_on_a_terminal_the_same_facts_are_shown(plugins, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    main(["plugins"])
    out, _ = capsys.readouterr()
    assert "cannot import 'acme_plugin': OSError: no disk" in out
    assert "zsad-invert" in out
