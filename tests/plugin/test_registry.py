from __future__ import annotations

import pytest

from zsad.errors import InputError
from zsad.plugin.registry import Claim, Registry
from zsad.plugin.specs import BackboneSpec


def claim(name, distribution, plugin="p"):
    return Claim(BackboneSpec(name, "m:f", "A backbone."), distribution, plugin)


@pytest.fixture
def registry():
    claims = [
        claim("mini", "zsad"),
        claim("ViT:openai", "acme"),
        claim("tiny", "acme"),
        claim("tiny", "beta-x"),
    ]
    return Registry("backbone", claims)


def test_names_are_those_that_get_accepts(registry):
    assert registry.names() == ["mini", "ViT:openai", "acme:tiny", "beta-x:tiny"]
    assert [registry.get(name) for name, _ in registry.items()] == [c for _, c in registry.items()]
    assert len(registry) == 4


def test_a_name_that_one_distribution_claims_is_found_plain_and_qualified(registry):
    assert registry.get("mini") is registry.get("zsad:mini")
    assert registry.get("mini").distribution == "zsad"


def test_a_colon_in_a_name_is_no_distribution(registry):
    assert registry.get("ViT:openai") is registry.get("acme:ViT:openai")


def test_a_distribution_is_compared_as_indexes_do(registry):
    assert registry.get("Beta_X:tiny").distribution == "beta-x"


def test_a_contested_name_is_refused_with_both_owners(registry):
    with pytest.raises(InputError) as caught:
        registry.get("tiny")
    assert str(caught.value) == (
        "backbone 'tiny' is claimed by 'acme' and 'beta-x'; write 'acme:tiny' or 'beta-x:tiny'"
    )
    assert "tiny" in registry


def test_an_unknown_name_comes_with_the_nearest(registry):
    with pytest.raises(InputError, match=r"unknown backbone 'minni'; did you mean 'mini'"):
        registry.get("minni")
    with pytest.raises(
        InputError,
        match=r"^unknown backbone 'zebra' \(there are: mini, ViT:openai, acme:tiny, beta-x:tiny\)$",
    ):
        registry.get("zebra")
    assert "minni" not in registry
    assert "acme:mini" not in registry


def test_many_names_are_not_listed():
    registry = Registry("backbone", [claim(f"b{number}", "acme") for number in range(13)])
    with pytest.raises(InputError, match=r"^unknown backbone 'zebra'$"):
        registry.get("zebra")
    with pytest.raises(InputError, match=r"^unknown backbone 'zebra'$"):
        Registry("backbone", []).get("zebra")


def test_a_broken_plugin_is_named_before_what_is_merely_alike():
    failed = {"bad": "cannot import 'bad'", "worse": "no zsad_api"}
    registry = Registry("part", [claim("ad.mean", "acme")], failed)
    with pytest.raises(InputError) as caught:
        registry.get("bad.mean")
    assert str(caught.value) == (
        "unknown part 'bad.mean'; plugin 'bad' may have it, and failed: cannot import 'bad'"
    )
    with pytest.raises(InputError) as caught:
        registry.get("ad.maen")
    assert str(caught.value) == (
        "unknown part 'ad.maen'; did you mean 'ad.mean'?; plugin 'bad' may have it, and failed: cannot "
        "import 'bad'; plugin 'worse' may have it, and failed: no zsad_api"
    )
