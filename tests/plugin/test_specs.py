"""Import strings relative to a plugin, and what a part's kind says without being written."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_args

import pytest

from zsad.plugin import specs
from zsad.plugin.host import Host
from zsad.plugin.imports import load_object, read_resource
from zsad.plugin.specs import PART_KINDS, PartSpec, RecipeSpec, absolute

PACKAGE = """
from zsad.plugin.hookspecs import hookimpl
from zsad.plugin import specs as s
zsad_api = 1

@hookimpl
def zsad_parts():
    yield s.PartSpec("acme.score", "scorer", ".inner.scorer:Score", "S.", options=".options:Score")
    yield s.PartSpec("acme.own", "scorer", ":Own", "S.", options="json:JSONDecoder")

@hookimpl
def zsad_recipes():
    yield s.RecipeSpec("acme", ":recipe.yaml", ".convert:convert")
    yield s.RecipeSpec("acme@deep", ":recipes/deep.yaml")

@hookimpl
def zsad_backbones():
    yield s.BackboneSpec("small", ".backbone:load", "B.", card=":CARD.md")

@hookimpl
def zsad_datasets():
    yield s.DatasetSpec("boxes", ".datasets:read", "D.")

@hookimpl
def zsad_metrics():
    yield s.MetricSpec("odd", ".metrics:build", "M.")

@hookimpl
def zsad_losses():
    yield s.LossSpec("flat", ".losses:flat", "L.", options=".options:Flat")

@hookimpl
def zsad_generators():
    yield s.GeneratorSpec("rain", ".rain:Rain", "G.", options=".options:Rain")

@hookimpl
def zsad_reporters():
    yield s.ReporterSpec("text", ".text:render", "R.")

@hookimpl
def zsad_commands():
    yield s.CommandSpec("acme", "C.", ".cli:app")

@hookimpl
def zsad_demo_tabs():
    yield s.DemoTabSpec("Acme", "T.", ".tab:build")

class Own: ...
"""

SOLO = """
from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import PartSpec, RecipeSpec
zsad_api = 1

@hookimpl
def zsad_parts():
    yield PartSpec("solo.score", "scorer", ":Score", "S.", options=":Options")

class Options: ...

class Score: ...
"""


@pytest.fixture
def host(site: Any) -> Host:
    modules = {
        "acme/__init__.py": PACKAGE,
        "acme/inner/__init__.py": "",
        "acme/inner/scorer.py": "class Score: ...",
        "acme/options.py": "class Score: ...",
        "acme/recipe.yaml": "name: acme",
        "acme/recipes/deep.yaml": "name: acme@deep",
    }
    site.install("acme", modules, {"acme": "acme"})
    site.install("solo", {"solo_plugin.py": SOLO}, {"solo": "solo_plugin"})
    return Host.discover()


def test_strings_of_a_package_are_meant_from_it(host: Host) -> None:
    assert host.plugin("acme").error is None
    part = host.parts.get("acme.score").spec
    assert (part.factory, part.options) == ("acme.inner.scorer:Score", "acme.options:Score")
    assert load_object(part.factory).__module__ == "acme.inner.scorer"
    assert load_object(part.options).__module__ == "acme.options"
    own = host.parts.get("acme.own").spec
    assert (own.factory, own.options) == ("acme:Own", "json:JSONDecoder")
    assert load_object(own.factory).__module__ == "acme"
    method, deep = host.recipes.get("acme").spec, host.recipes.get("acme@deep").spec
    assert (method.resource, method.converter) == ("acme:recipe.yaml", "acme.convert:convert")
    assert read_resource(method.resource) == "name: acme" and deep.converter is None
    assert read_resource(deep.resource) == "name: acme@deep"


def test_every_kind_of_spec_may_be_relative(host: Host) -> None:
    small, loss = host.backbones.get("small").spec, host.losses.get("flat").spec
    rain, command = host.generators.get("rain").spec, host.commands.get("acme:acme").spec
    assert (small.factory, small.card) == ("acme.backbone:load", "acme:CARD.md")
    assert (loss.function, loss.options) == ("acme.losses:flat", "acme.options:Flat")
    assert (rain.factory, rain.options) == ("acme.rain:Rain", "acme.options:Rain")
    assert host.datasets.get("boxes").spec.reader == "acme.datasets:read"
    assert host.metrics.get("odd").spec.factory == "acme.metrics:build"
    assert host.reporters.get("text").spec.render == "acme.text:render"
    assert (command.app, command.help) == ("acme.cli:app", "C.")
    assert host.demo_tabs.get("Acme").spec.build == "acme.tab:build"


def test_a_plugin_of_a_single_module_is_meant_by_its_strings(host: Host) -> None:
    part = host.parts.get("solo.score").spec
    assert (part.factory, part.options) == ("solo_plugin:Score", "solo_plugin:Options")
    assert load_object(part.factory).__name__ == "Score"


def test_only_what_names_something_importable_changes() -> None:
    spec = RecipeSpec(":acme", "other:recipe.yaml", None)
    assert absolute(spec, "acme") is spec
    part = PartSpec("acme.a", "scorer", ".a:A", ":a summary", requires={":word"}, companions=(".b:c",))
    found = absolute(part, "acme.plugin")
    assert found.factory == "acme.plugin.a:A"
    assert (found.summary, found.requires, found.companions) == (":a summary", {":word"}, (".b:c",))


def test_every_spec_has_fields_that_may_be_relative() -> None:
    for kind in get_args(specs.Spec):
        marked = {field.name for field in fields(kind) if "ImportString" in str(field.type)}
        assert marked and marked <= {
            "factory", "options", "resource", "converter", "card", "reader", "function", "export", "render",
            "app", "build",
        }  # fmt: skip


IMPLIED = {
    "prompt_learner": ({"text"}, {"text_features"}),
    "prompt_conditioner": ({"text_features"}, set()),
    "attention_refiner": (set(), {"patch_tokens"}),
    "reference_store": (set(), {"memory"}),
}


@pytest.mark.parametrize("kind", PART_KINDS)
def test_what_a_kind_implies(kind: Any) -> None:
    requires, provides = IMPLIED.get(kind, (set(), set()))
    bare = PartSpec("acme.a", kind, "a:b", "A.")
    assert (bare.requires, bare.provides) == (requires, provides)
    more = PartSpec("acme.a", kind, "a:b", "A.", requires={"cls_token"}, provides={"acme.things"})
    assert more.requires == requires | {"cls_token"}
    assert more.provides == {"acme.things"}  # what is named stands for what is implied
    for spec in (bare, more):
        assert isinstance(spec.requires, frozenset) and isinstance(spec.provides, frozenset)
        hash(spec)


@pytest.mark.parametrize("field", ["requires", "provides"])
def test_a_string_is_no_set_of_words(site: Any, field: str) -> None:
    sentence = f"{field} of 'acme.a' has to be a set of words, not a string"
    with pytest.raises(TypeError) as caught:
        PartSpec("acme.a", "scorer", "a:b", "A.", **{field: "text"})
    assert str(caught.value) == sentence
    source = PACKAGE.split("@hookimpl")[0] + (
        "@hookimpl\ndef zsad_parts():\n"
        f"    yield s.PartSpec('acme.a', 'scorer', ':A', 'A.', {field}='text_features')\n"
    )
    site.install("beta", {"beta_plugin.py": source}, {"beta": "beta_plugin"})
    record = Host.discover().plugin("beta")
    assert (record.status, record.error) == ("failed", f"zsad_parts raised TypeError: {sentence}")
