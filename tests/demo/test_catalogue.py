from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.conftest import Site
from zsad.errors import InputError
from zsad.plugin import host
from zsad.plugin.imports import resource_path
from zsad.weights.loading import read_card, save_weights
from zsad_demo.catalogue import methods_with_references, parse_weights
from zsad_demo.engine import Engine


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """The embedded weights of anomalyclip as a file of the operator's."""
    with resource_path("zsad_plugins.anomalyclip:mini.safetensors") as path:
        save_weights(tmp_path / "mine.safetensors", load_file(path), read_card(path))
    return tmp_path / "mine.safetensors"


def test_offered_is_what_runs_and_lacks_no_weights(engine: Engine) -> None:
    assert {"clip-baseline", "winclip", "anomalyclip", "musc"} <= set(engine.models)
    random = Engine(["mini-random"], device="cpu", dtype="float32", weights={})
    assert not {"cops", "crane", "adaclip"} & set(random.models)  # learned, and nobody ships weights for it
    assert {"cops", "crane", "adaclip"} <= set(engine.models)
    assert engine.models["musc"].needs_several
    assert engine.models["winclip"].takes_words
    assert not engine.models["anomalyclip"].takes_words


def test_files_given_at_start_are_choices_by_their_name(weights: Path) -> None:
    files = parse_weights([f"anomalyclip={weights}"], host.get_host())
    engine = Engine(["mini", "mini-random"], device="cpu", dtype="float32", weights={})
    assert "anomalyclip on mini" in engine.models
    assert "anomalyclip on mini-random" not in engine.models
    one = Engine(device="cpu", dtype="float32", weights=files)
    assert one.models["anomalyclip with mine.safetensors"].weights == weights
    assert one.models["anomalyclip"].weights is None


def test_files_that_do_not_fit_are_refused_at_start(weights: Path) -> None:
    with pytest.raises(InputError, match="holds weights of method 'anomalyclip'"):
        Engine(device="cpu", dtype="float32", weights=parse_weights([f"cops={weights}"], host.get_host()))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("winclip", "write METHOD=FILE"), ("winclip=", "write METHOD=FILE"), ("wincIip=x", "did you mean"),
     ("winclip=missing.safetensors", "there is no weights file")],
)  # fmt: skip
def test_other_forms_of_weights_are_refused(text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        parse_weights([text], host.get_host())


def test_two_files_of_one_name_are_refused(weights: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / weights.name
    other.parent.mkdir()
    other.write_bytes(weights.read_bytes())
    with pytest.raises(InputError, match="another file for anomalyclip has the same name"):
        parse_weights([f"anomalyclip={weights}", f"anomalyclip={other}"], host.get_host())


def test_references_are_offered_where_a_recipe_has_a_reference_store(site: Site) -> None:
    before = methods_with_references(host.get_host())
    assert "nearest-neighbour" in before and "clip-baseline" not in before
    recipe = """
        name: fewshot
        summary: compares with references
        fidelity: inspired
        parts: {scorer: standard.cosine, reference_store: fewshot.memory}
        """
    plugin = """
        from zsad.plugin.hookspecs import hookimpl
        from zsad.plugin.specs import RecipeSpec
        zsad_api = 1
        @hookimpl
        def zsad_recipes():
            yield RecipeSpec("fewshot", "fewshot:recipe.yaml")
        """
    site.install(
        "fewshot", {"fewshot/__init__.py": plugin, "fewshot/recipe.yaml": recipe}, {"fewshot": "fewshot"}
    )
    assert methods_with_references(host.get_host()) == before | {"fewshot": "compares with references"}


def test_a_method_that_needs_references_is_no_choice_of_the_page(engine: Engine) -> None:
    offered = {model.method for model in engine.models.values()}
    assert offered and offered.isdisjoint(methods_with_references(host.get_host()))


def test_a_newcomer_is_offered_two_methods_that_share_a_pass(engine: Engine) -> None:
    names = [model.method for model in engine.models.values()]
    assert names[:2] == ["anomalyclip", "clip-baseline"]
    order = host.get_host().recipes.names()
    assert names[2:] == sorted(names[2:], key=order.index)
