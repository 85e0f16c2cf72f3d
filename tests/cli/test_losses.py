"""``zsad losses``: what training can minimise."""

from __future__ import annotations

import json

from tests.cli import test_listings


def test_list_and_info(zsad) -> None:
    rows = {row["name"]: row for row in json.loads(zsad("losses", "--json").out)}
    assert {"focal", "dice", "image", "image-focal"} <= set(rows)
    assert rows["dice"]["distribution"] == "zsad"
    assert {name for name in ("focal", "dice", "image", "image-focal") if rows[name]["masks"]} == {
        "focal",
        "dice",
    }
    info = json.loads(zsad("losses", "info", "dice", "--json").out)
    assert {option["name"]: option["default"] for option in info["option_fields"]} == {
        "states": "both", "rows": False,
    }  # fmt: skip
    plain = zsad("losses", "info", "dice").out
    assert "states" in plain and "zsad_plugins.standard.losses:dice_maps" in plain
    assert "option" not in zsad("losses", "info", "focal").out.split("function")[1]


def test_an_unknown_loss_is_named(zsad) -> None:
    answer = zsad("losses", "info", "dise")
    assert answer.code == 2 and "did you mean 'dice'?" in answer.sentence


def test_imports_stay_light() -> None:
    test_listings.test_imports_stay_light(["losses"])
    test_listings.test_imports_stay_light(["train", "--help"])
