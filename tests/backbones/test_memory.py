"""Image sizes that no memory holds are refused before anything is allocated."""

from __future__ import annotations

import time

import pytest
import torch

from tests.backbones.test_open_clip_loading import CONFIG
from zsad.backbones import memory
from zsad.backbones.loading import load_backbone
from zsad.backbones.memory import available_memory, check_memory, needed_memory
from zsad.backbones.vision import VisionTower
from zsad.errors import InputError


@pytest.fixture(scope="module")
def tower() -> VisionTower:
    return load_backbone(f"{CONFIG}@random:0", "cpu", "float32").vision_tower()


def test_the_estimate_counts_tokens_pairs_and_pixels(tower: VisionTower) -> None:
    side = 64 * tower.patch_size
    tokens = 64 * 64
    expected = 4 * tokens**2 + 12 * 4 * tokens * tower.width + 48 * side**2
    assert needed_memory(tower, side, side) == expected


@pytest.mark.parametrize("gibibytes", [0.5, 2, 16])
def test_the_sentence_names_the_largest_size_that_fits(tower: VisionTower, gibibytes: float) -> None:
    available, patch = int(gibibytes * 2**30), tower.patch_size
    fitting = [side for side in range(patch, 6000, patch) if needed_memory(tower, side, side) <= available]
    check_memory(tower, fitting[-1], fitting[-1], available)
    check_memory(tower, 10**9, 10**9, None)
    for side in (fitting[-1] + patch, 10**5, 10**12):
        begun = time.perf_counter()
        with pytest.raises(
            InputError, match=rf"image size {side} needs .* --image-size {fitting[-1]} or less"
        ):
            check_memory(tower, side, side, available)
        assert time.perf_counter() - begun < 1


def test_the_sentence_names_the_largest_short_side_that_fits(tower: VisionTower) -> None:
    available, patch = 2 * 2**30, tower.patch_size
    fitting = [
        side for side in range(patch, 6000, patch) if needed_memory(tower, side, 3 * side) <= available
    ]
    check_memory(tower, fitting[-1], 3 * fitting[-1], available)
    side = fitting[-1] + patch
    for size in ((side, 3 * side), (3 * side, side)):
        said = rf"image size {side}, with which this image has {size[1]} x {size[0]} pixels, needs at least"
        with pytest.raises(InputError, match=rf"{said} .* --image-size {fitting[-1]} or less"):
            check_memory(tower, *size, available)
    check_memory(tower, side, side, available)


def test_what_is_free(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    cpu = torch.device("cpu")
    (tmp_path / "meminfo").write_text("MemTotal: 900 kB\nMemAvailable:      700 kB\n")
    monkeypatch.setattr(memory, "_MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    assert available_memory(cpu) == 700 * 1024
    (tmp_path / "memory.max").write_text("max\n")
    assert available_memory(cpu) == 700 * 1024
    (tmp_path / "memory.max").write_text("5000\n")
    (tmp_path / "memory.current").write_text("2000\n")
    assert available_memory(cpu) == 3000
