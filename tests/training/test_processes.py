"""Real processes: one that is killed in the middle of an epoch, and two that train together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.training.drawing import draw_set
from zsad.training.processes import ask_for_one_order, local_device

LAUNCH = ("-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "--num_machines", "1",
          "--mixed_precision", "no", "--dynamo_backend", "no",
          "--num_cpu_threads_per_process", "1")  # fmt: skip


class Trainings:
    """Runs ``zsad train`` in processes of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = draw_set(folder / "squares", 4, 4)
        self.environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache"), "OMP_NUM_THREADS": "1"}

    def begin(self, out: str, *words: str, launcher: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        command = [sys.executable, *launcher, "-m", "zsad", "train", "--method", "anomalyclip",
                   "--data", f"folder={self.root}", "--out", str(self.folder / out), "--dtype", "float32",
                   "--workers", "0", "--batch-size", "3", *words]  # fmt: skip
        return subprocess.Popen(
            command, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def run(self, out: str, *words: str, launcher: tuple[str, ...] = ()) -> str:
        process = self.begin(out, *words, launcher=launcher)
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
        return errors

    def weights(self, out: str) -> Path:
        return self.folder / out / "weights.safetensors"


@pytest.mark.parametrize(
    ("name", "several", "alone"),
    [
        ("auto", "cuda:1", "auto"),
        ("cuda", "cuda:1", "cuda"),
        ("cuda:0", "cuda:0", "cuda:0"),
        ("cpu", "cpu", "cpu"),
    ],
)
def test_each_of_several_processes_has_its_own_gpu(monkeypatch, name, several, alone) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert local_device(name) == several
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert local_device(name) == alone
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert local_device(name) == name


def test_one_order_is_asked_for_unless_the_user_did(monkeypatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    ask_for_one_order()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    ask_for_one_order()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"


@pytest.fixture
def trainings(tmp_path) -> Trainings:
    return Trainings(tmp_path)


@pytest.mark.acceptance
def test_killed_in_an_epoch_and_resumed_it_ends_at_the_same_bytes(trainings) -> None:
    epochs = ("--epochs", "60")
    trainings.run("whole", *epochs)
    process = trainings.begin("killed", *epochs)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("epoch 5:"):
            break
    time.sleep(0.05)  # an epoch takes about as long: the next one is under way
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert trainings.weights("killed").read_bytes() != trainings.weights("whole").read_bytes()
    errors = trainings.run("killed", *epochs, "--resume")
    assert "going on after epoch" in errors and "epoch 60:" in errors and "epoch 5:" not in errors
    assert trainings.weights("killed").read_bytes() == trainings.weights("whole").read_bytes()


@pytest.mark.acceptance
def test_two_processes_learn_what_one_does(trainings) -> None:
    trainings.run("one", "--epochs", "2")
    errors = trainings.run("two", "--epochs", "2", launcher=LAUNCH)
    assert errors.count("epoch 1:") == errors.count("epoch 2:") == 1  # one of them speaks
    one, two = (load_file(trainings.weights(out)) for out in ("one", "two"))
    assert set(one) == set(two)
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=1e-4, atol=1e-6)
