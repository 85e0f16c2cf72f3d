"""A memory is filled in one pass: whole or not at all, kept, resumed, and carried wherever weights are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.loading import load_detector
from tests.training.drawing import draw_set
from tests.training.memory import MemoryBatches
from zsad.data.dataset import Dataset
from zsad.detect.detector import Detector
from zsad.errors import InputError
from zsad.plugin.host import get_host
from zsad.recipe.settings import Settings
from zsad.training.batches import Batch
from zsad.training.learner import learned_state, seen
from zsad.training.request import TrainingRequest
from zsad.training.run import CURVE, WEIGHTS, Run, Setup
from zsad.training.train import train
from zsad.weights.card import read_card


@pytest.fixture
def load(tiny_backbone) -> Callable[..., Detector]:
    def loaded(method: str = "mrad", *overrides: str, **options: Any) -> Detector:
        options = {"backbone": tiny_backbone, "image_size": 64, "untrained": True} | options
        return load_detector(method, overrides=overrides, **options)

    return loaded


class Breaks:
    """Batches of which one cannot be read."""

    def __init__(self, batches: MemoryBatches, place: int) -> None:
        self.batches, self.place = batches, place

    def __len__(self) -> int:
        return len(self.batches)

    def batch(self, places, device: torch.device) -> Batch:
        if self.place in places:
            raise KeyboardInterrupt
        return self.batches.batch(places, device)


def run_of(detector: Detector, dataset: Dataset, folder: Path, *, broken: int | None = None,
           resume: bool = False, **options: Any) -> Run:  # fmt: skip
    def opened(stage: Detector) -> Any:
        batches = MemoryBatches(stage, dataset)
        return batches if broken is None else Breaks(batches, broken)

    plan = detector.recipe.recipe.training
    plan = plan.model_copy(update={"batch_size": 2})
    setup = Setup(plan, opened, "abc", seen([dataset]), **options)
    return Run(detector, setup, folder, get_host(), resume=resume)


def test_a_filled_memory_is_kept_with_its_card_and_without_a_curve(load, dataset, tmp_path) -> None:
    run = run_of(load(), dataset, tmp_path / "w")
    (epoch,) = run.epochs()
    files = {path.name for path in (tmp_path / "w").iterdir()}
    assert files == {"checkpoint.pt", WEIGHTS, "weights.md"} and not (tmp_path / "w" / CURVE).exists()
    stored = load_file(tmp_path / "w" / WEIGHTS)
    assert stored.keys() == learned_state(run.detector).keys()
    assert len(stored["scorer.image_keys"]) == len(dataset.images) == epoch.remembered["scorer.image_keys"]
    card = read_card(tmp_path / "w" / WEIGHTS)
    assert card.parts == {"scorer": "mrad.memory"} and card.origin == "own"
    assert [entry.dataset for entry in card.trained_on] == [dataset.name]
    assert card.trained_on[0].images  # by which contamination is found


def test_a_broken_pass_leaves_nothing_and_another_one_gives_the_same(load, dataset, tmp_path) -> None:
    detector = load()
    before = {name: tensor.clone() for name, tensor in learned_state(detector).items()}
    run = run_of(detector, dataset, tmp_path / "w", broken=len(dataset.images) - 1)
    with pytest.raises(KeyboardInterrupt):
        list(run.epochs())
    assert not (tmp_path / "w" / WEIGHTS).exists()
    assert all(torch.equal(before[name], tensor) for name, tensor in learned_state(detector).items())
    list(run_of(detector, dataset, tmp_path / "w", resume=True).epochs())
    list(run_of(load(), dataset, tmp_path / "whole").epochs())
    assert (tmp_path / "w" / WEIGHTS).read_bytes() == (tmp_path / "whole" / WEIGHTS).read_bytes()


@pytest.mark.parametrize("broken_after", [1, 2])
def test_a_run_goes_on_behind_the_memory_and_ends_at_the_same_bits(
    load, dataset, tmp_path, broken_after
) -> None:
    longer = "training.then.epochs=2"
    list(run_of(load("mrad@ft", longer), dataset, tmp_path / "whole").epochs())
    epochs = run_of(load("mrad@ft", longer), dataset, tmp_path / "w").epochs()
    for _ in range(broken_after):
        next(epochs)
    epochs.close()
    resumed = run_of(load("mrad@ft", longer, seed=5), dataset, tmp_path / "w", resume=True)
    assert len(list(resumed.epochs())) == 3 - broken_after
    whole, broken = (load_file(tmp_path / name / WEIGHTS) for name in ("whole", "w"))
    assert whole.keys() == broken.keys()
    # The seed of the second start decides nothing: what it drew is replaced.
    assert all(torch.equal(whole[name], broken[name]) for name in whole)
    # Once more, there is nothing left to do.
    assert list(run_of(load("mrad@ft", longer), dataset, tmp_path / "w", resume=True).epochs()) == []


def test_a_memory_is_replaced_and_not_added_to(load, dataset, tmp_path) -> None:
    list(run_of(load(), dataset, tmp_path / "first").epochs())
    again = load(weights=tmp_path / "first" / WEIGHTS, untrained=False)
    list(run_of(again, dataset, tmp_path / "second").epochs())
    first, second = (load_file(tmp_path / name / WEIGHTS) for name in ("first", "second"))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("method", "overrides", "said"),
    [
        ("mrad", ["training.epochs=3"], "filled in one pass, not in 3; leave it at 1$"),
        ("mrad@ft", ["training.epochs=2"], r"not in 2; leave it at 1, and .*training\.then\.epochs=N"),
        ("mrad", ["training.learning_rate=0.1"], "filling a memory descends no gradient"),
        ("anomalyclip", ["training.fill=true", "training.epochs=1"], "'anomalyclip' has no labelled memory"),
    ],
)
def test_what_has_no_meaning_in_a_pass_is_refused(load, dataset, tmp_path, method, overrides, said) -> None:
    detector = load(method, *overrides)
    plan = detector.recipe.recipe.training
    with pytest.raises(InputError, match=said):
        Run(detector, Setup(plan, lambda stage: MemoryBatches(stage, dataset), "abc"), tmp_path, get_host())


def test_a_generator_of_features_is_refused(load, dataset, tmp_path) -> None:
    with pytest.raises(InputError, match="no meaning where a memory is filled; name one that changes images"):
        run_of(load(), dataset, tmp_path, generator=lambda features, random: (features, None))


def test_weights_of_another_width_are_refused(load, dataset, tmp_path) -> None:
    list(run_of(load(), dataset, tmp_path / "w").epochs())
    with pytest.raises(InputError, match=r"'scorer.patch_keys' has the shape \(\d+, \d+\), this run needs"):
        load("mrad", "readout.stage=joint", weights=tmp_path / "w" / WEIGHTS, untrained=False)


def test_the_whole_way_from_a_request(tiny_file, squares_folder, tmp_path) -> None:
    request = TrainingRequest(
        method="mrad@ft", data=(f"folder={squares_folder}",), folder=tmp_path / "w", backbone=tiny_file,
        image_size=64, device="cpu", dtype="float32", cache=tmp_path / "cache", workers=0,
        overrides=Settings.parse(["scorer.limit=4"]),
    )  # fmt: skip
    trained = train(request)
    assert [(epoch.stage, bool(epoch.losses)) for epoch in trained.epochs] == [(1, False), (2, True)]
    assert trained.weights is not None
    stored = load_file(trained.weights)
    assert len(stored["scorer.image_keys"]) == len(stored["scorer.patch_keys"]) == 4


def test_masks_are_wanted(tiny_file, tmp_path) -> None:
    bare = draw_set(tmp_path / "bare", masks=False)
    request = TrainingRequest(
        method="mrad", data=(f"folder={bare}",), folder=tmp_path / "w", backbone=tiny_file, image_size=64,
        device="cpu", cache=None, workers=0,
    )  # fmt: skip
    with pytest.raises(InputError, match="gives no mask for the anomalous image"):
        train(request)


@pytest.fixture
def tiny_file() -> str:
    return f"{Path(__file__).parents[1] / 'assets' / 'tiny-clip.json'}@random:0"


@pytest.fixture
def squares_folder(tmp_path: Path) -> Path:
    return draw_set(tmp_path / "gear")
