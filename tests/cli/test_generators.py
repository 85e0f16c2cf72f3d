"""``zsad generators``: what there is, and its options."""

from __future__ import annotations

import json

import pytest

from tests.cli import test_listings


def test_list_and_info(zsad) -> None:
    rows = {row["name"]: row for row in json.loads(zsad("generators", "--json").out)}
    assert rows["draem"]["level"] == "image" and rows["feature-noise"]["level"] == "features"
    plain = zsad("generators", "list").out.splitlines()
    assert plain[0].split() == ["name", "level", "summary"] and len(plain) == 1 + len(rows)
    info = json.loads(zsad("generators", "info", "scar", "--json").out)
    options = {option["name"]: option for option in info["option_fields"]}
    assert options["width"]["default"] == [2, 16] and options["foreground"]["default"] is False
    assert all(option["description"] for option in info["option_fields"])
    assert "[2, 16]" in zsad("generators", "info", "zsad:scar").out


def test_an_unknown_generator_is_named(zsad) -> None:
    answer = zsad("generators", "info", "dream")
    assert answer.code == 2 and "did you mean 'draem'?" in answer.sentence


@pytest.mark.parametrize("words", [["generators"], ["generators", "info", "feature-noise"]])
def test_imports_stay_light(words: list[str]) -> None:
    test_listings.test_imports_stay_light(words)
