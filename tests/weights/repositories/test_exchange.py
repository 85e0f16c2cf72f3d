from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.hub import Hub, serving
from tests.loading import load_detector
from zsad.errors import InputError
from zsad.training.learner import learned_state, weights_card
from zsad.weights.card import WeightsCard, read_card
from zsad.weights.card_text import model_card
from zsad.weights.file import read_weights_file
from zsad.weights.loading import load_weights, save_weights
from zsad.weights.repositories.exchange import pull, push

LAYOUT = {"README.md", "card.json", "weights.safetensors"}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with serving(monkeypatch, tmp_path / "cache") as server:
        yield server


@pytest.fixture
def trained(tiny_backbone, tmp_path) -> Path:
    """Weights of AnomalyCLIP on the tiny backbone, drawn from seed 7."""
    detector = load_detector("anomalyclip", backbone=tiny_backbone, untrained=True, seed=7)
    path = tmp_path / "mine.safetensors"
    save_weights(path, learned_state(detector), weights_card(detector, []))
    return path


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_hub_and_folder_have_the_same_layout(hub, trained, tmp_path) -> None:
    words = {"backbone": "tiny", "licence": "mit"}
    push(trained, "acme/bolts", message="bolts", **words)
    assert push(trained, str(tmp_path / "bolts"), **words) == str(tmp_path / "bolts")
    on_hub = hub.repositories["acme/bolts"].files("main")[1]
    in_folder = files(tmp_path / "bolts")
    assert set(on_hub) == set(in_folder) == LAYOUT
    assert on_hub["weights.safetensors"] == in_folder["weights.safetensors"] == trained.read_bytes()
    assert WeightsCard.model_validate_json(on_hub["card.json"]) == read_card(trained)
    assert on_hub["card.json"] == in_folder["card.json"]
    weights = read_weights_file(trained)
    assert on_hub["README.md"].decode() == model_card(weights, name="hf://acme/bolts", **words)
    assert in_folder["README.md"].decode() == model_card(weights, name="weights.safetensors", **words)


@pytest.mark.parametrize("kind", ["hub", "folder"])
def test_what_is_pushed_is_pulled_and_loaded(hub, trained, tiny_backbone, tmp_path, kind) -> None:
    name = "acme/bolts" if kind == "hub" else str(tmp_path / "bolts")
    push(trained, name)
    out = tmp_path / "out"
    for _ in range(2):  # equal files may stay
        weights = pull(name, out=out)
        assert weights.path == out / "weights.safetensors" and set(files(out)) == LAYOUT
    assert weights.card == read_card(trained) and weights.sha256 == read_weights_file(trained).sha256
    stayed = pull(name)
    assert stayed.sha256 == weights.sha256 and stayed.path.parent != out
    address = f"hf://{name}" if kind == "hub" else name
    wanted = learned_state(load_detector("anomalyclip", backbone=tiny_backbone, weights=trained))
    for source in (address, {"prompt_learner": address}, out, str(out)):
        found = load_detector("anomalyclip", backbone=tiny_backbone, weights=source)
        assert all(torch.equal(value, wanted[key]) for key, value in learned_state(found).items())
        assert found.cards["prompt_learner"] == weights.card


def test_revisions(hub, trained, tmp_path) -> None:
    push(trained, "acme/bolts")
    better = tmp_path / "better.safetensors"
    save_weights(better, {"x.y": torch.ones(3)}, read_card(trained).model_copy(update={"parts": {"x": "x"}}))
    push(better, "acme/bolts", revision="v2")
    assert pull("acme/bolts").card == read_card(trained)
    assert pull("acme/bolts", revision="v2").card == pull("hf://acme/bolts@v2").card == read_card(better)
    assert (
        "--weights hf://acme/bolts@v2" in hub.repositories["acme/bolts"].files("v2")[1]["README.md"].decode()
    )


def test_what_out_holds_is_kept(trained, tmp_path) -> None:
    push(trained, str(tmp_path / "bolts"))
    out = tmp_path / "out"
    out.mkdir()
    (out / "weights.safetensors").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"out holds another weights\.safetensors already, which is kept"):
        pull(str(tmp_path / "bolts"), out=out)
    assert files(out) == {"weights.safetensors": b"mine"}


def test_a_folder_of_other_weights_is_kept(trained, tmp_path) -> None:
    push(trained, str(tmp_path / "bolts"))
    before = files(tmp_path / "bolts")
    save_weights(trained, {"x.y": torch.ones(1)}, read_card(trained))
    with pytest.raises(InputError, match="which is kept; name another folder, or delete it"):
        push(trained, str(tmp_path / "bolts"))
    assert files(tmp_path / "bolts") == before


def test_only_weights_are_pushed(hub, tmp_path) -> None:
    plain, pickled = tmp_path / "plain.safetensors", tmp_path / "a.pth"
    save_file({"a": torch.zeros(1)}, plain)
    torch.save({"a": torch.zeros(1)}, pickled)
    for path, part in [
        (plain, "no zsad card"),
        (pickled, "zsad convert"),
        (tmp_path / "none", "no weights file"),
    ]:
        with pytest.raises(InputError, match=part):
            push(path, "acme/bolts")
    assert hub.requests == [] and hub.repositories == {}


def test_a_repository_of_something_else(hub, trained, tmp_path) -> None:
    folder = tmp_path / "bolts"
    push(trained, str(folder))
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | {"origin": "authors"}))
    with pytest.raises(InputError, match=r"not consistent: its card\.json says something else"):
        pull(str(folder), out=tmp_path / "out")
    (folder / "card.json").write_text("{}")
    with pytest.raises(InputError, match=r"card\.json of '.*' is not a card of weights"):
        pull(str(folder), out=tmp_path / "out")
    (folder / "card.json").unlink()
    assert pull(str(folder)).card == read_card(trained)
    (folder / "weights.safetensors").write_bytes(b"pickle")
    with pytest.raises(InputError, match="not a safetensors weights file"):
        pull(str(folder), out=tmp_path / "out")
    (folder / "weights.safetensors").unlink()
    with pytest.raises(InputError, match="there is no weights file"):
        pull(str(folder), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_weights_of_the_hub_are_checked_as_any(hub, trained, tiny_backbone) -> None:
    push(trained, "acme/bolts")
    state = hub.repositories["acme/bolts"]
    state.commit("main", {"weights.safetensors": b"\x80\x04pickle"}, "evil")
    with pytest.raises(InputError, match="not a safetensors weights file"):
        load_detector("anomalyclip", backbone=tiny_backbone, weights="hf://acme/bolts")
    with pytest.raises(InputError, match="learns nothing"):
        load_weights({}, load_detector("clip-baseline", backbone=tiny_backbone).recipe, "hf://acme/bolts", "")
