"""What a part is depends on its options: what it requires, and whether it looks at other images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from zsad.errors import InputError, ZsadError
from zsad.plugin.host import Host, get_host
from zsad.plugin.specs import PartSpec
from zsad.recipe.profiles import TextProfile, TowerProfile
from zsad.recipe.recipes import PartChoice
from zsad.recipe.resolution import resolve
from zsad.recipe.resolved import BackboneFacts, ResolvedPart, ResolvedRecipe, resolved_part
from zsad.recipe.settings import Settings

PLUGIN = """
from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import PartSpec
zsad_api = 1

@hookimpl
def zsad_parts():
    # fmt: off
    yield PartSpec("acme.bars", "auxiliary", ":x", "A.", provides={"auxiliary:bars"})
    yield PartSpec("acme.maps", "auxiliary", ":x", "A.", options=".options:Named",
                   provides={"auxiliary:{maps}"})
    yield PartSpec("acme.mix", "attention_refiner", ":x", "R.", options=".options:Mix",
                   requires={"auxiliary:{maps}", "cls_token"}, batch_dependent="over_batch")
    yield PartSpec("acme.score", "scorer", ":x", "S.", options=".options:Score", requires={"text_features"},
                   provides={"anomaly_map", "image_score"}, batch_dependent="over_batch",
                   transductive="over_class")
    # fmt: on
"""

OPTIONS = """
from typing import Literal
from zsad.plugin.options import Options

class Named(Options):
    maps: str = "stripes"

class Mix(Options):
    maps: str = "bars"
    over_batch: bool = False

class Score(Options):
    extent: Literal["image", "batch", "class"] = "image"

    @property
    def over_batch(self) -> bool:
        return self.extent == "batch"

    @property
    def over_class(self) -> bool:
        return self.extent == "class"
"""


@pytest.fixture
def host(site: Any) -> Host:
    site.install("acme", {"acme/__init__.py": PLUGIN, "acme/options.py": OPTIONS}, {"acme": "acme"})
    return get_host()


@pytest.fixture
def part(host: Host) -> Callable[..., ResolvedPart]:
    return lambda name, **options: resolved_part(host, PartChoice(use=name, options=options))


@pytest.fixture
def resolved(host: Host) -> Callable[..., ResolvedRecipe]:
    facts = BackboneFacts(
        arch="tiny",
        depth=12,
        image_size=224,
        profile=TowerProfile(activation="gelu", position_embedding="bicubic"),
        text_profile=TextProfile(activation="gelu", causal=True),
        capabilities=frozenset({"cls_token", "streams", "text", "causal_text"}),
    )
    return lambda *overrides: resolve(host, "clip-baseline", facts, overrides=Settings.parse(overrides))


def test_an_option_says_whether_other_images_count(part: Callable[..., ResolvedPart]) -> None:
    assert part("acme.mix", over_batch=True).batch_dependent is True
    assert part("acme.mix").batch_dependent is False


def test_a_property_of_the_options_says_so_too(part: Callable[..., ResolvedPart]) -> None:
    found = {extent: part("acme.score", extent=extent) for extent in ("image", "batch", "class")}
    assert [each.batch_dependent for each in found.values()] == [False, True, False]
    assert [each.transductive for each in found.values()] == [False, False, True]


def test_what_is_fixed_needs_no_options() -> None:
    for value in (True, False):
        spec = PartSpec("a.b", "scorer", "a:b", "A.", batch_dependent=value, transductive=not value)
        found = ResolvedPart("scorer", spec, None)
        assert (found.batch_dependent, found.transductive) == (value, not value)


def test_a_requirement_takes_its_word_from_an_option(part: Callable[..., ResolvedPart]) -> None:
    assert part("acme.mix").requires == {"auxiliary:bars", "cls_token"}
    assert part("acme.mix", maps="stripes").requires == {"auxiliary:stripes", "cls_token"}
    assert part("acme.maps", maps="dots").provides == {"auxiliary:dots"}
    assert part("acme.bars").provides == {"auxiliary:bars"}
    assert part("acme.mix").described() == {
        "kind": "attention_refiner", "use": "acme.mix", "options": {"maps": "bars", "over_batch": False}
    }  # fmt: skip


def test_requirements_are_met_by_options(resolved: Callable[..., ResolvedRecipe]) -> None:
    refiner, stripes = "attention_refiner=acme.mix", "attention_refiner.maps=stripes"
    assert resolved("auxiliary+=acme.bars", refiner).parts[1].spec.name == "acme.mix"
    assert resolved("auxiliary+=acme.maps", refiner, stripes).parts[0].provides == {"auxiliary:stripes"}
    with pytest.raises(InputError, match=r"'acme.mix'.*requires 'auxiliary:bars'.*'acme.bars' \(auxiliary\)"):
        resolved(refiner)
    with pytest.raises(InputError, match=r"'acme.mix'.*requires 'auxiliary:stripes', which neither"):
        resolved("auxiliary+=acme.bars", refiner, stripes)
    with pytest.raises(InputError, match=r"'acme.mix'.*requires 'auxiliary:bars'"):
        resolved("auxiliary+=acme.maps", refiner)


def test_a_recipe_is_what_its_parts_are_with_their_options(resolved: Callable[..., ResolvedRecipe]) -> None:
    whole = ("scorer=acme.score", "post_processors=none")
    image, batch, scope = (
        resolved(*whole, f"scorer.extent={extent}") for extent in ("image", "batch", "class")
    )
    assert [found.batch_dependent for found in (image, batch, scope)] == [False, True, False]
    assert [found.transductive for found in (image, batch, scope)] == [False, False, True]
    assert [found.setting(trained=False) for found in (batch, scope)] == [
        "training-free / inductive / zero-shot",
        "training-free / transductive / zero-shot",
    ]
    assert len({image.hash, batch.hash, scope.hash}) == 3
    assert resolved(*whole).hash == image.hash  # a default that is said is the same recipe


def test_options_are_a_subclass_of_options(site: Any) -> None:
    plugin = """
    from zsad.plugin.hookspecs import hookimpl
    from zsad.plugin.specs import PartSpec
    zsad_api = 1

    @hookimpl
    def zsad_parts():
        yield PartSpec("loose.part", "scorer", ":x", "L.", options=".options:Loose")
    """
    options = "from pydantic import BaseModel\nclass Loose(BaseModel):\n    sigma: float = 1.0\n"
    site.install("loose", {"loose/__init__.py": plugin, "loose/options.py": options}, {"loose": "loose"})
    with pytest.raises(ZsadError, match=r"part 'loose\.part': its options .* no subclass of zsad\.plugin"):
        resolved_part(get_host(), PartChoice(use="loose.part", options={"sgma": 3}))
