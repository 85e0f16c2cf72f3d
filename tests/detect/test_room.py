"""An image size that no memory holds is refused before anything runs."""

from __future__ import annotations

import os

import pytest
import torch

from tests.loading import load_detector
from zsad.detect import room
from zsad.errors import InputError

CPU = torch.device("cpu")


def test_memory_is_the_machine_s_or_the_container_s(tmp_path, monkeypatch) -> None:
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(room, "CGROUP", limit)
    assert room.memory_of(CPU) == machine
    limit.write_text("max\n")
    assert room.memory_of(CPU) == machine
    limit.write_text(f"{2**30}\n")
    assert room.memory_of(CPU) == 2**30


def test_what_cannot_fit_is_refused_in_a_sentence(tmp_path, monkeypatch) -> None:
    limit = tmp_path / "memory.max"
    limit.write_text(f"{2**30}\n")
    monkeypatch.setattr(room, "CGROUP", limit)
    room.check_room(5792, CPU)  # 32 * 5792**2 is just below 2**30
    with pytest.raises(
        InputError, match=r"^--image-size 5793 needs more than 1 GB .* this machine has 1 GB; "
    ):
        room.check_room(5793, CPU)
    with pytest.raises(InputError, match="--image-size 80000 needs more than 191 GB"):
        load_detector("clip-baseline", image_size=80_000)
