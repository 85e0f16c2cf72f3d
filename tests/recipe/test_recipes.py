from __future__ import annotations

from typing import Any

import pytest

from zsad.errors import InputError, ZsadError
from zsad.plugin.host import Host
from zsad.recipe.recipes import PartChoice, for_backbone, load_recipe, recipe_dict, validate_recipe

BASE = """
name: base
summary: the base
fidelity: paper
official:
  architectures: [ViT-B-16]
  image_size: 240
  vision: {activation: gelu, position_embedding: bicubic}
  text: {activation: gelu}
parts:
  prompt_learner: {use: a.words, options: {file: x.yaml, each: true}}
  scorer: a.cosine
  post_processors: [a.softmax, {use: a.blur, options: {sigma: 4}}]
"""


@pytest.fixture
def recipes(site: Any) -> Any:
    """Install a plugin with recipes, given as file name -> text; the method's name is the file's stem."""

    def install(package: str, **files: str) -> Host:
        lines = "\n".join(f"    yield RecipeSpec('{n}', '{package}:{n}.yaml')" for n in files)
        source = (
            "from zsad.plugin.hookspecs import hookimpl\n"
            "from zsad.plugin.specs import RecipeSpec\nzsad_api = 1\n"
            f"@hookimpl\ndef zsad_recipes():\n{lines}\n"
        )
        modules = {f"{package}/{name}.yaml": text for name, text in files.items()}
        site.install(package, {f"{package}/__init__.py": source, **modules}, {package: package})
        return Host.discover()

    return install


def test_short_and_long_choices_read_alike(recipes: Any) -> None:
    parts = load_recipe(recipes("acme_short", base=BASE), "base").parts
    assert parts.scorer == PartChoice(use="a.cosine")
    assert [choice.use for choice in parts.chosen()] == ["a.words", "a.cosine", "a.softmax", "a.blur"]
    assert parts.of_kind("feature_adapter") == parts.of_kind("auxiliary") == ()


def test_extends_merges_mappings_and_replaces_the_rest(recipes: Any) -> None:
    variant = """
extends: base.yaml
name: variant
official: {image_size: 336}
parts:
  prompt_learner: {options: {each: false}}
  scorer: {use: b.other}
  post_processors: [a.max]
"""
    host = recipes("acme_extends", base=BASE, variant=variant)
    found = load_recipe(host, "variant")
    assert (found.name, found.summary) == ("variant", "the base")
    assert found.official is not None
    assert (found.official.image_size, found.official.architectures) == (336, ("ViT-B-16",))
    assert found.parts.prompt_learner == PartChoice(use="a.words", options={"file": "x.yaml", "each": False})
    assert found.parts.scorer == PartChoice(use="b.other")
    assert [choice.use for choice in found.parts.post_processors] == ["a.max"]
    assert load_recipe(host, "base").parts.scorer.use == "a.cosine"


def test_a_choice_with_a_name_replaces_the_options_too(recipes: Any) -> None:
    variant = "extends: base.yaml\nparts:\n  prompt_learner: {use: a.words, options: {each: false}}\n"
    found = load_recipe(recipes("acme_named", base=BASE, variant=variant), "variant")
    assert found.parts.prompt_learner == PartChoice(use="a.words", options={"each": False})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"summry": "x"}, "'summry' is not known; did you mean 'summary'"),
        ({"fidelity": "exact"}, "'fidelity' cannot be 'exact'"),
        ({"parts": {}}, "'parts.scorer'"),
        ({"readout": {"taps": ["3/2"]}}, "share of the depth"),
        ({"profile": {"base": "mine"}}, "'profile.base' cannot be 'mine'"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, Any], sentence: str) -> None:
    data = {"name": "m", "summary": "s", "fidelity": "paper", "parts": {"scorer": "a.b"}}
    with pytest.raises(InputError, match=rf"recipe of 'm': .*{sentence}"):
        validate_recipe(data | change, "m")


@pytest.mark.parametrize(
    ("package", "text", "sentence"),
    [
        ("acme_yaml", "a: [", "not valid YAML"),
        ("acme_list", "- a", "holds no mapping"),
        ("acme_missing", "extends: nowhere.yaml", "nowhere.yaml"),
        ("acme_circle", "extends: bad.yaml", "acme_circle:bad.yaml extends itself"),
        ("acme_two", "extends: [base.yaml]", "'extends' has to name a file"),
    ],
)
def test_a_broken_file_is_named(recipes: Any, package: str, text: str, sentence: str) -> None:
    with pytest.raises(ZsadError, match=sentence):
        recipe_dict(recipes(package, bad=text), "bad")


BY_BACKBONE = """
extends: base.yaml
on_backbone:
  mini*:
    fidelity: inspired
    parts:
      prompt_learner: {options: {each: false}}
      post_processors: [a.max]
  ViT-L-*: {image_size: 336}
"""


def test_a_recipe_differs_on_the_backbones_that_it_names(recipes: Any) -> None:
    host = recipes("acme_backbones", base=BASE, variant=BY_BACKBONE)
    data = recipe_dict(host, "variant")
    found = {arch: for_backbone(data, arch) for arch in ("mini", "ViT-L-14", "ViT-B-16")}
    assert found["ViT-B-16"] == recipe_dict(host, "base")
    assert found["ViT-L-14"] == recipe_dict(host, "base") | {"image_size": 336}
    mini = validate_recipe(found["mini"], "variant")
    assert mini.fidelity == "inspired" and mini.image_size is None
    assert mini.parts.prompt_learner == PartChoice(use="a.words", options={"file": "x.yaml", "each": False})
    assert [choice.use for choice in mini.parts.post_processors] == ["a.max"]
    plain = load_recipe(host, "variant")
    assert plain.fidelity == "paper" and sorted(plain.on_backbone) == ["ViT-L-*", "mini*"]


def test_of_several_patterns_that_fit_the_last_wins(recipes: Any) -> None:
    overlays = "{'*': {image_size: 224, display: {low: 0.1}}, 'ViT-*': {image_size: 336}}"
    host = recipes("acme_patterns", base=BASE, variant=f"extends: base.yaml\non_backbone: {overlays}\n")
    data = for_backbone(recipe_dict(host, "variant"), "ViT-B-16")
    assert (data["image_size"], data["display"]) == (336, {"low": 0.1})


@pytest.mark.parametrize(
    ("overlay", "sentence"),
    [
        ({"summary": "x"}, "'summary' cannot differ between backbones"),
        ({"part": {}}, "'part' cannot differ between backbones; did you mean 'parts'"),
        ({"on_backbone": {}}, "'on_backbone' cannot differ"),
        ({"image_size": "big"}, "'image_size' cannot be 'big'"),
        ({"fidelity": "paper", "parts": {"scorers": "a.b"}}, "'parts.scorers' is not known"),
        ({"parts": {"scorer": "a.c"}}, "it has to say its fidelity"),
        ({"readout": {"taps": [3]}}, "it has to say its fidelity"),
    ],
)
def test_a_wrong_difference_is_named_with_its_backbone(overlay: dict[str, Any], sentence: str) -> None:
    data = {"name": "m", "summary": "s", "fidelity": "paper", "parts": {"scorer": "a.b"}}
    with pytest.raises(InputError, match=rf"recipe of 'm', on_backbone 'mini': .*{sentence}"):
        validate_recipe(data | {"on_backbone": {"mini": overlay}}, "m")


def test_an_unknown_method_suggests_the_nearest(recipes: Any) -> None:
    with pytest.raises(InputError, match="unknown method 'bsae'; did you mean 'base'"):
        load_recipe(recipes("acme_unknown", base=BASE), "bsae")
