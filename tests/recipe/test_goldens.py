"""Every built-in recipe resolves to what it did in the first edition, but for the changes listed here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zsad.plugin.host import get_host
from zsad.recipe.profiles import TextProfile, TowerProfile
from zsad.recipe.resolution import resolve
from zsad.recipe.resolved import BackboneFacts

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "goldens" / "resolved.json").read_text())

Change = Callable[[dict[str, Any]], None]


def renamed(old: str, new: str, **options: Any) -> Change:
    """A part has another name, and options that say what its name said."""

    def apply(recipe: dict[str, Any]) -> None:
        for part in recipe["parts"]:
            if part["use"] == old:
                part.update(use=new, options=part["options"] | options)

    return apply


def added(part: str, **options: Any) -> Change:
    """A part has new options, whose defaults are what it did before."""

    def apply(recipe: dict[str, Any]) -> None:
        for entry in recipe["parts"]:
            if entry["use"] == part:
                entry["options"] = options | entry["options"]

    return apply


def profile_says(**fields: Any) -> Change:
    """The vision profile says what went without saying."""

    def apply(recipe: dict[str, Any]) -> None:
        recipe["profile"] |= fields

    return apply


def moved(option: str, new: str) -> Change:
    """What an option names lies elsewhere."""

    def apply(recipe: dict[str, Any]) -> None:
        for part in recipe["parts"]:
            if option in part["options"]:
                part["options"][option] = new

    return apply


CHANGES: tuple[Change, ...] = (
    profile_says(resize_order="horizontal-first"),
    renamed("cops.scorer_batch", "cops.scorer", extent="batch"),
    added("cops.scorer", extent="image"),
    renamed("crane.d_attn_batch", "crane.d_attn", over_batch=True),
    added("crane.d_attn", over_batch=False),
    added("winclip.windows", patches=False),
    added("aprilgan.linear_heads", keep_raw=False),
    moved("phrases", "zsad_prompts:phrases.yaml"),
)
"""What has changed since, in order."""

LATER: dict[str, Any] = {"halve_at": [], "clip_norms": {}, "fill": False}
"""Fields of a training that there were not, and what they say in recipes of that time."""


def facts(data: dict[str, Any]) -> BackboneFacts:
    text = data["text_profile"]
    return BackboneFacts(
        arch=data["arch"],
        depth=data["depth"],
        image_size=data["image_size"],
        profile=TowerProfile(**data["profile"]),
        text_profile=None if text is None else TextProfile(**text),
        capabilities=frozenset(data["capabilities"]) | {"streams"},  # a word that came later
    )


def digest(data: Any) -> str:
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def test_the_golden_file_is_the_first_editions() -> None:
    for backbone in GOLDEN.values():
        for recipe in backbone["recipes"].values():
            assert digest(recipe["resolved"]) == recipe["hash"]


@pytest.mark.parametrize("arch", sorted(GOLDEN))
def test_recipes_resolve_as_before(arch: str) -> None:
    host, golden = get_host(), GOLDEN[arch]
    own = {name for name, claim in host.recipes.items() if claim.distribution == "zsad"}
    assert set(golden["recipes"]) <= own
    for name, before in golden["recipes"].items():
        expected = json.loads(json.dumps(before["resolved"]))
        for change in CHANGES:
            change(expected)
        now = resolve(host, name, facts(golden["facts"]))
        assert json.loads(json.dumps(now.as_dict())) == expected, name
        assert now.hash == digest(expected), name
        unchanged = {
            "image_size": now.image_size,
            "learnable": [part.key for part in now.learnable],
            "batch_dependent": now.batch_dependent,
            "two_phase": now.two_phase,
            "display": now.recipe.display.model_dump(),
        }
        assert unchanged == {key: before[key] for key in unchanged}, name
        training = now.recipe.training.model_dump(mode="json")
        assert {field: training.pop(field) for field in LATER} == LATER, name
        text = json.dumps(training, sort_keys=True)
        assert hashlib.sha256(text.encode()).hexdigest()[:16] == before["training"], name
