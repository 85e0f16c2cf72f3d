"""Seeds bind what is drawn, and the caller's random numbers stay the caller's, on every device."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import zsad
import zsad_plugins
from tests.loading import load_detector
from zsad.backbones.chance import reseed, seeded
from zsad.backbones.loading import load_backbone
from zsad.weights.adapter.lora import adapt_backbone
from zsad.weights.adapter.options import LoraOptions

FIRST, SECOND = torch.device("cuda:0"), torch.device("cuda:1")
TINY = Path(__file__).parents[1] / "assets" / "tiny-clip.json"


@pytest.fixture
def generators(monkeypatch: pytest.MonkeyPatch) -> tuple[torch.Generator, ...]:
    """The random states of the CPU and of two GPUs."""
    gpus = tuple(torch.Generator().manual_seed(seed) for seed in (11, 12))
    monkeypatch.setattr(torch.cuda, "default_generators", gpus)
    return torch.default_generator, *gpus


def states(generators: tuple[torch.Generator, ...]) -> list[list[int]]:
    return [generator.get_state().tolist() for generator in generators]


def test_what_is_drawn_is_what_torch_draws_from_the_seed() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        expected = torch.randn(4)
    with seeded(5):
        assert torch.equal(torch.randn(4), expected)


def test_only_the_named_device_draws_from_the_seed(generators: tuple[torch.Generator, ...]) -> None:
    before = states(generators)
    with seeded(5, SECOND):
        inside = states(generators)
        assert [a != b for a, b in zip(inside, before, strict=True)] == [True, False, True]
        assert generators[2].initial_seed() == 5
        reseed(6, FIRST)
        assert states(generators)[2] == inside[2]
    assert [a == b for a, b in zip(states(generators), before, strict=True)] == [True, False, True]


def test_an_error_gives_the_states_back(generators: tuple[torch.Generator, ...]) -> None:
    before = states(generators)
    with pytest.raises(KeyError), seeded(5, FIRST):
        torch.randn(3)
        raise KeyError
    assert states(generators) == before


def test_loading_and_building_touch_no_generator(
    generators: tuple[torch.Generator, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: calls.append("cuda"))
    before = states(generators)
    load_backbone("mini-random", "cpu", "float32")
    adapt_backbone(load_backbone(f"{TINY}@random:0", "cpu", "float32"), LoraOptions())
    load_detector("anomalyclip", backbone=load_backbone("mini", "cpu", "float32"), untrained=True)
    assert states(generators) == before and not calls
    torch.manual_seed(0)  # what these do not call would have been noted
    assert calls == ["cuda"]


@pytest.mark.parametrize("package", [zsad, zsad_plugins])
def test_no_module_seeds_every_device(package: object) -> None:
    folders = [Path(folder) for folder in package.__path__]  # type: ignore[attr-defined]
    files = [file for folder in folders for file in folder.rglob("*.py")]
    assert len(files) > 20
    for file in files:
        assert "torch.manual_seed(" not in file.read_text() and "fork_rng(" not in file.read_text(), file
