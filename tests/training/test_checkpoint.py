"""A checkpoint is there whole or not at all, and serves only the run that it belongs to."""

from __future__ import annotations

import errno
import pickle

import pytest
import torch

from zsad.errors import InputError, ZsadError
from zsad.files import atomic_write
from zsad.training.checkpoint import FILE, load_checkpoint, save_checkpoint

IDENTITY = {
    "method": "anomalyclip",
    "seed": 0,
    "training": {"1": {"betas": (0.5, 0.9), "losses": {"dice": 4}}},
}


def test_a_state_comes_back(tmp_path) -> None:
    state = {"done": 3, "parameters": {"a": torch.randn(3)}, "history": [{"losses": {"dice": 0.25}}]}
    save_checkpoint(tmp_path, IDENTITY, state)
    found = load_checkpoint(tmp_path, IDENTITY)
    assert found is not None and torch.equal(found["parameters"]["a"], state["parameters"]["a"])
    assert found["history"] == state["history"] and found["done"] == 3
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_without_a_file_there_is_nothing(tmp_path) -> None:
    assert load_checkpoint(tmp_path, IDENTITY) is None


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"seed": 1}, r"another seed \(it was 0, and now it is 1\)"),
        ({"method": "crane"}, r'another method \(it was "anomalyclip", and now it is "crane"\)'),
        ({"training": {"1": {"betas": (0.5, 0.9), "losses": {"dice": 2}}}},
         r"another training \(1\.losses\.dice was 4, and now it is 2\)"),
        ({"training": {}}, r"another training \(1 was \{.*, and now it is null\)"),
    ],
)  # fmt: skip
def test_another_run_is_refused(tmp_path, other, words) -> None:
    save_checkpoint(tmp_path, IDENTITY, {})
    with pytest.raises(InputError, match=f"--resume: the run in {tmp_path} was begun with {words}"):
        load_checkpoint(tmp_path, IDENTITY | other)


class Trap:
    """Would run code if it were unpickled."""

    ran = False

    def __reduce__(self):
        return setattr, (Trap, "ran", True)


@pytest.mark.parametrize("content", [b"", b"no archive", pickle.dumps({"identity": "{}", "state": Trap()})])
def test_what_is_no_checkpoint_is_refused(tmp_path, content) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(InputError, match=f"{FILE} is no checkpoint of zsad train; delete it"):
        load_checkpoint(tmp_path, IDENTITY)
    assert not Trap.ran


class AlmostFull:
    """A stream with room for a little."""

    def __init__(self, room: int) -> None:
        self.room = room

    def write(self, content) -> int:
        if len(content) > self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.room -= len(content)
        return len(content)

    def flush(self) -> None:
        pass


def test_a_full_disk_is_named(tmp_path, monkeypatch) -> None:
    save_checkpoint(tmp_path, IDENTITY, {"done": 1})

    def to_a_full_disk(path, writer):
        atomic_write(path, lambda stream: writer(AlmostFull(4000)))

    monkeypatch.setattr("zsad.training.checkpoint.atomic_write", to_a_full_disk)
    with pytest.raises(ZsadError, match=f"cannot write '{FILE}' in folder .*no space left"):
        save_checkpoint(tmp_path, IDENTITY, {"done": 2, "a": torch.randn(100_000)})
    assert load_checkpoint(tmp_path, IDENTITY) == {"done": 1}
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_a_truncated_file_is_refused(tmp_path) -> None:
    save_checkpoint(tmp_path, IDENTITY, {"a": torch.randn(1000)})
    whole = (tmp_path / FILE).read_bytes()
    for length in (10, len(whole) // 2, len(whole) - 1):
        (tmp_path / FILE).write_bytes(whole[:length])
        with pytest.raises(InputError, match="delete it to begin anew"):
            load_checkpoint(tmp_path, IDENTITY)
