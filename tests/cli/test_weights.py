"""``zsad weights``: listings, cards, and the exchange with repositories."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import as_file, files
from pathlib import Path

import pytest

from tests.cli import test_listings
from tests.hub import Hub, serving
from zsad.weights.card import file_sha256, read_card

EMBEDDED = files("zsad_plugins.anomalyclip").joinpath("mini.safetensors")


@pytest.fixture(autouse=True)
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with serving(monkeypatch, tmp_path / "cache") as server:
        yield server


@pytest.fixture
def embedded() -> Iterator[Path]:
    with as_file(EMBEDDED) as path:
        yield path


def row_of(rows: list[dict[str, object]], **wanted: object) -> dict[str, object]:
    (row,) = [row for row in rows if wanted.items() <= row.items()]
    return row


class TestList:
    """What is embedded and what the hub's cache has."""

    def test_embedded(self, zsad, embedded) -> None:
        rows = json.loads(zsad("weights", "--json").out)
        assert json.loads(zsad("weights", "list", "--json").out) == rows
        row, card = row_of(rows, method="anomalyclip", backbone="mini"), read_card(embedded)
        assert row["origin"] == "own" and row["trained_on"] == [entry.dataset for entry in card.trained_on]
        assert row["sha256"] == file_sha256(embedded) and row["bytes"] == embedded.stat().st_size
        assert row["backbone_sha256"] == card.backbone and row["weights"] is None
        plain = zsad("weights").out.splitlines()
        assert plain[0].split() == ["method", "backbone", "origin", "trained_on", "size", "sha256", "where"]
        (line,) = [line for line in plain if line.startswith("anomalyclip ")]
        assert str(row["sha256"])[:12] in line and line.endswith("embedded")

    def test_the_cache(self, zsad, hub, embedded) -> None:
        zsad("weights", "push", embedded, "acme/bolts")
        zsad("weights", "pull", "acme/bolts")
        commit = hub.repositories["acme/bolts"].branches["main"]
        address = f"hf://acme/bolts@{commit}"
        row = row_of(json.loads(zsad("weights", "--json").out), weights=address)
        assert row["method"] == "anomalyclip" and row["sha256"] == file_sha256(embedded)
        assert address in zsad("weights").out
        hub.repositories["acme/bolts"].commit("main", {"weights.safetensors": b"of another library"}, "m")
        assert zsad("weights", "pull", "acme/bolts").code == 2
        found = [row["weights"] for row in json.loads(zsad("weights", "--json").out) if row["weights"]]
        assert found == [address]  # the other file in the cache is no weights of zsad

    def test_a_broken_file_does_not_hide_the_others(self, zsad, site) -> None:
        module = """
        from zsad.plugin.hookspecs import hookimpl
        from zsad.plugin.specs import RecipeSpec
        zsad_api = 1

        @hookimpl
        def zsad_recipes():
            yield RecipeSpec("acme", "acme_recipes:acme.yaml")
        """
        recipe = "name: acme\nextends: 'zsad_plugins.anomalyclip:recipe.yaml'\n"
        recipe += "weights: {mini: 'acme_recipes:none.safetensors'}\n"
        sources = {"acme_recipes/__init__.py": module, "acme_recipes/acme.yaml": recipe}
        site.install("acme", sources, {"acme": "acme_recipes"})
        rows = json.loads(zsad("weights", "--json").out)
        row = row_of(rows, method="acme", distribution="acme", backbone="mini")
        assert "none.safetensors" in row["error"] and row_of(rows, method="anomalyclip")
        assert "broken: there is no weights file" in zsad("weights").out


class TestInfo:
    """A card in words."""

    def test_of_a_method(self, zsad, embedded) -> None:
        shown = json.loads(zsad("weights", "info", "anomalyclip", "--json").out)
        assert shown["card"] == read_card(embedded).model_dump(mode="json")
        assert shown["sha256"] == file_sha256(embedded) and shown["weights"] is None
        plain = dict(line.split("  ", 1) for line in zsad("weights", "info", "anomalyclip").out.splitlines())
        assert plain["method"].strip() == "anomalyclip" and plain["origin"].strip() == "own training"
        assert "procedural" in plain["trained on"] and shown["sha256"] in plain["sha256"]

    def test_of_a_file_a_folder_and_the_hub(self, zsad, embedded, tmp_path) -> None:
        zsad("weights", "push", embedded, tmp_path / "bolts")
        zsad("weights", "push", embedded, "acme/bolts")
        for name in (embedded, tmp_path / "bolts", "hf://acme/bolts", f"file://{tmp_path}/bolts"):
            shown = json.loads(zsad("weights", "info", name, "--json").out)
            assert shown["card"] == read_card(embedded).model_dump(mode="json")
            assert file_sha256(Path(shown["weights"])) == shown["sha256"]

    def test_as_markdown(self, zsad, embedded) -> None:
        page = zsad("weights", "info", embedded, "--markdown").out
        assert page.startswith("# Learned weights of anomalyclip\n") and f"--weights {embedded}" in page
        page = zsad("weights", "info", "anomalyclip", "--markdown").out
        assert "--backbone mini\n" in page and "--weights" not in page

    def test_a_folder_named_like_a_method(self, zsad, tmp_path, monkeypatch) -> None:
        (tmp_path / "anomalyclip").mkdir()
        monkeypatch.chdir(tmp_path)
        assert json.loads(zsad("weights", "info", "anomalyclip", "--json").out)["weights"] is None

    @pytest.mark.parametrize(
        ("words", "part"),
        [
            (["anomalycli"], "no weights file and no method 'anomalycli'; did you mean 'anomalyclip'?"),
            (["winclip"], "method 'winclip' ships no weights for mini; 'zsad weights' lists"),
            (["anomalyclip", "--backbone", "ViT"], "ships no weights for ViT; it ships them for mini"),
            (["hf://acme/bolts"], "the hub shows no repository 'acme/bolts'"),
            (["hf://acme/bolts/evil.pkl"], "only .safetensors files are read"),
            (["anomalyclip", "--json", "--markdown"], "exclude each other"),
        ],
    )
    def test_refused(self, zsad, words, part) -> None:
        answer = zsad("weights", "info", *words)
        assert answer.code == 2 and part in answer.sentence and not answer.out


class TestExchange:
    """Push and pull, as typed."""

    def test_to_the_hub_and_back(self, zsad, hub, embedded, tmp_path) -> None:
        answer = zsad(
            "weights", "push", embedded, "acme/bolts", "--private", "--message", "bolts", "--license", "mit",
            "--backbone", "mini", "--revision", "v2", "--json",
        )  # fmt: skip
        assert answer.code == 0
        repository = hub.repositories["acme/bolts"]
        commit, content = repository.files("v2")
        assert json.loads(answer.out)["pushed"].endswith(commit)
        assert repository.private and repository.messages == ["bolts"]
        assert repository.files("main")[1] == {}
        readme = content["README.md"].decode()
        assert "license: mit" in readme and "--backbone mini --weights hf://acme/bolts@v2" in readme
        answer = zsad(
            "weights", "pull", "acme/bolts", "--revision", "v2", "--out", tmp_path / "out", "--json"
        )
        shown = json.loads(answer.out)
        assert shown["weights"] == str(tmp_path / "out" / "weights.safetensors")
        assert shown["card"] == read_card(embedded).model_dump(mode="json")
        assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == content
        assert answer.err == ""
        assert zsad("weights", "pull", "acme/bolts").code == 2  # nothing on main

    def test_to_a_folder(self, zsad, hub, embedded, tmp_path) -> None:
        answer = zsad("weights", "push", embedded, tmp_path / "bolts")
        assert answer.code == 0 and answer.out.split() == ["pushed", str(tmp_path / "bolts")]
        answer = zsad("weights", "pull", f"file://{tmp_path}/bolts", "--out", tmp_path / "out")
        assert answer.code == 0 and "own training" in answer.out and hub.requests == []

    @pytest.mark.parametrize(
        ("token", "code", "part"),
        [("", 2, "no token of the hub is there to write to 'acme/bolts'; set HF_TOKEN"),
         ("hf_reader", 1, "the hub does not let you write to 'acme/bolts'; set HF_TOKEN")],
    )  # fmt: skip
    def test_no_permission(self, zsad, embedded, monkeypatch, token, code, part) -> None:
        monkeypatch.setenv("HF_TOKEN", token)
        answer = zsad("weights", "push", embedded, "acme/bolts")
        assert answer.code == code and part in answer.sentence

    def test_no_network(self, zsad, hub, embedded) -> None:
        from zsad.backbones.hub import hub_reachable

        hub.shutdown()
        hub.server_close()
        hub_reachable.cache_clear()
        for words in (["push", embedded, "acme/bolts"], ["pull", "acme/bolts"], ["info", "hf://acme/bolts"]):
            answer = zsad("weights", *words)
            assert answer.code == 1 and "hub cannot be reached" in answer.sentence
        assert answer.err.splitlines() == [answer.sentence]

    @pytest.mark.parametrize(
        ("words", "part"),
        [
            (["pull", "./none"], "no repository folder none"),
            (["pull", "acme/none"], "the hub shows no repository 'acme/none'"),
            (["push", "none.safetensors", "acme/bolts"], "there is no weights file none.safetensors"),
            (["push", "FILE", "./x", "--private"], "--private: 'x' is a folder"),
            (["push", "FILE", "./x", "--revision", "v2"], "--revision v2: './x' is a folder"),
        ],
    )
    def test_refused(self, zsad, embedded, tmp_path, monkeypatch, words, part) -> None:
        monkeypatch.chdir(tmp_path)
        answer = zsad("weights", *[embedded if word == "FILE" else word for word in words])
        assert answer.code == 2 and part in answer.sentence
        assert not (tmp_path / "x").exists()


def test_predict_takes_weights_of_the_hub(zsad, hub, embedded, photo, tmp_path) -> None:
    zsad("weights", "push", embedded, "acme/bolts")
    words = ("predict", photo, "--method", "anomalyclip", "--json", "--out", tmp_path / "o")
    from_hub = json.loads(zsad(*words, "--weights", "hf://acme/bolts").out)
    by_part = json.loads(zsad(*words, "--weights", "prompt_learner=hf://acme/bolts@main").out)
    shipped = json.loads(zsad(*words).out)
    scores = [[image["score"] for image in report["images"]] for report in (from_hub, by_part, shipped)]
    assert scores[0] == scores[1] == scores[2]
    assert from_hub["weights"]["parts"]["prompt_learner"]["trained_on"] == "procedural"


@pytest.mark.parametrize("words", [["weights"], ["weights", "info", "anomalyclip"], ["weights", "--help"]])
def test_imports_stay_light(words: list[str]) -> None:
    test_listings.test_imports_stay_light(words)


def test_help_names_every_command(zsad) -> None:
    listed = zsad("weights", "--help").out
    assert all(name in listed for name in ("list", "info", "push", "pull"))
