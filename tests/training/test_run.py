"""A run keeps its state after every epoch, and goes on from there as if there had been no break."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.training.memory import MemoryBatches
from zsad.errors import InputError, ZsadError
from zsad.plugin.host import get_host
from zsad.recipe.training import Training
from zsad.training.learner import learned_state, seen
from zsad.training.run import CURVE, WEIGHTS, Run, Setup
from zsad.weights.card import read_card

PLAN = Training(epochs=2, batch_size=3, learning_rate=0.02)
STAGES = PLAN.model_copy(update={"then": {"epochs": 2, "learn": ["*.deep"], "learning_rate": 0.01}})
FILES = {"checkpoint.pt", CURVE, WEIGHTS, "weights.md"}


@pytest.fixture
def start(load, dataset, tmp_path) -> Callable[..., Run]:
    def run(plan: Training = PLAN, folder: str = "w", *, detector_seed: int = 0, resume: bool = False,
            **options: Any) -> Run:  # fmt: skip
        detector = load("anomalyclip", seed=detector_seed)
        setup = Setup(plan, lambda stage: MemoryBatches(stage, dataset), "abc", seen([dataset]), **options)
        return Run(detector, setup, tmp_path / folder, get_host(), resume=resume)

    return run


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def test_every_epoch_is_kept(start, tmp_path) -> None:
    run = start()
    seen = []
    for epoch in run.epochs():
        assert files(tmp_path / "w") == FILES
        seen.append(load_file(tmp_path / "w" / WEIGHTS)["prompt_learner.context"])
        assert torch.equal(seen[-1], learned_state(run.detector)["prompt_learner.context"])
        assert (tmp_path / "w" / CURVE).read_text().count("<svg") == 1
        assert run.history[-1] is epoch
    assert len(seen) == 2 and not torch.equal(*seen)
    assert read_card(tmp_path / "w" / WEIGHTS).method == "anomalyclip"


@pytest.mark.parametrize("plan", [PLAN, STAGES], ids=["one stage", "two stages"])
@pytest.mark.parametrize("broken_after", [1, 2, 3])
def test_a_resumed_run_ends_at_the_same_bits(start, tmp_path, plan, broken_after) -> None:
    unbroken = start(plan, "whole")
    wanted = [epoch.losses for epoch in unbroken.epochs()]
    epochs = start(plan).epochs()
    for _ in range(min(broken_after, len(wanted))):
        next(epochs)
    epochs.close()
    resumed = start(plan, resume=True, detector_seed=5)  # its own first values do not count
    list(resumed.epochs())
    assert [epoch.losses for epoch in resumed.history] == wanted
    assert (tmp_path / "w" / WEIGHTS).read_bytes() == (tmp_path / "whole" / WEIGHTS).read_bytes()


def test_the_second_stage_learns_its_own(start) -> None:
    run = start(STAGES)
    states = []
    for _ in run.epochs():
        states.append({name: t.clone() for name, t in learned_state(run.detector).items()})
    context = [state["prompt_learner.context"] for state in states]
    deep = [state["prompt_learner.deep"] for state in states]
    assert not torch.equal(context[0], context[1]) and torch.equal(context[1], context[3])
    assert not torch.equal(deep[1], deep[2]) and not torch.equal(deep[2], deep[3])
    assert [(epoch.stage, epoch.number) for epoch in run.history] == [(1, 1), (1, 2), (2, 1), (2, 2)]


def test_a_finished_run_can_be_made_longer(start, tmp_path) -> None:
    list(start(PLAN.model_copy(update={"epochs": 3}), "whole").epochs())
    list(start().epochs())
    longer = start(PLAN.model_copy(update={"epochs": 3}), resume=True)
    assert [epoch.number for epoch in longer.epochs()] == [3]
    assert (tmp_path / "w" / WEIGHTS).read_bytes() == (tmp_path / "whole" / WEIGHTS).read_bytes()
    again = start(PLAN.model_copy(update={"epochs": 3}), resume=True)
    assert list(again.epochs()) == [] and len(again.history) == 3


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [(1, 2, "has done 2 epochs of stage 1 and gone on to the next, and now it is to have 1; give 2,"),
     (3, 2, "has done 2 epochs of stage 1 and gone on to the next, and now it is to have 3; give 2,"),
     (2, 1, "has done 2 epochs of stage 2, and now it is to have 1; give 2 or more,")],
)  # fmt: skip
def test_epochs_that_were_done_count(start, first, second, words) -> None:
    list(start(STAGES).epochs())
    other = STAGES.model_copy(update={"epochs": first, "then": {**STAGES.then, "epochs": second}})
    with pytest.raises(InputError, match=words):
        start(other, resume=True)


def test_two_runs_do_not_share_a_folder(start, tmp_path) -> None:
    epochs = start().epochs()
    next(epochs)
    before = (tmp_path / "w" / "checkpoint.pt").read_bytes()
    with pytest.raises(InputError, match="another run is training into this folder"):
        next(start(seed=3).epochs())
    assert (tmp_path / "w" / "checkpoint.pt").read_bytes() == before
    epochs.close()
    assert len(list(start(resume=True).epochs())) == 1


def test_half_the_size(start, tmp_path) -> None:
    run = start(half=True)
    list(run.epochs())
    stored = load_file(tmp_path / "w" / WEIGHTS)
    for name, tensor in learned_state(run.detector).items():
        assert stored[name].dtype == torch.float16
        torch.testing.assert_close(stored[name].float(), tensor, rtol=1e-3, atol=1e-7)
    list(start(folder="whole").epochs())
    again = start(half=False, resume=True)  # what is stored decides nothing
    assert list(again.epochs()) == []
    assert (tmp_path / "w" / WEIGHTS).read_bytes() == (tmp_path / "whole" / WEIGHTS).read_bytes()


def test_lost_weights_come_back_from_the_checkpoint(start, tmp_path) -> None:
    list(start().epochs())
    content = (tmp_path / "w" / WEIGHTS).read_bytes()
    (tmp_path / "w" / WEIGHTS).unlink()
    assert list(start(resume=True).epochs()) == []
    assert (tmp_path / "w" / WEIGHTS).read_bytes() == content


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"plan": PLAN.model_copy(update={"batch_size": 2})}, r"another training \(1\.batch_size was 3"),
        ({"seed": 4}, "another seed"),
        ({"precision": "bfloat16"}, "another precision"),
        ({"stored": "float16"}, r'another cache_dtype \(it was "exact", and now it is "float16"\)'),
    ],
)
def test_another_run_is_not_mixed_in(start, tmp_path, other, words) -> None:
    list(start().epochs())
    before = (tmp_path / "w" / "checkpoint.pt").read_bytes()
    with pytest.raises(InputError, match=words):
        start(resume=True, **other)
    assert (tmp_path / "w" / "checkpoint.pt").read_bytes() == before


def test_a_cosines_length_belongs_to_the_run(start) -> None:
    plan = PLAN.model_copy(update={"schedule": "cosine"})
    list(start(plan).epochs())
    with pytest.raises(InputError, match=r"1\.epochs was 2, and now it is 3"):
        start(plan.model_copy(update={"epochs": 3}), resume=True)


def test_a_later_stage_that_cannot_be_trained_is_refused_before_the_first(start, tmp_path) -> None:
    plan = PLAN.model_copy(update={"then": {"learn": ["nothing.*"]}})
    with pytest.raises(InputError, match=r"no parameter of 'anomalyclip' fits 'nothing\.\*'"):
        start(plan)
    assert files(tmp_path / "w") == set()


def test_divergence_keeps_the_epochs_before(start, tmp_path) -> None:
    plan = PLAN.model_copy(update={"then": {"learning_rate": 1e38, "learning_rates": {}}})
    with pytest.raises(ZsadError, match="diverged: losses or weights of epoch 1"):
        list(start(plan).epochs())
    assert files(tmp_path / "w") == FILES
    assert bool(load_file(tmp_path / "w" / WEIGHTS)["prompt_learner.context"].isfinite().all())
