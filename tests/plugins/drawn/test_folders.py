"""Drawn samples in a cache."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from zsad.data.images import read_image
from zsad.data.masks import read_mask
from zsad.errors import ZsadError
from zsad.files import CACHE, cache_folder
from zsad_plugins.datasets import manifest
from zsad_plugins.drawn import datasets as reader
from zsad_plugins.drawn import folders as samples
from zsad_plugins.drawn.procedural import (
    HELD_OUT_DEFECTS,
    HELD_OUT_FAMILIES,
    TRAINING_DEFECTS,
    TRAINING_FAMILIES,
)

SMALL = replace(samples.SAMPLES, count=1, size=48)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv(CACHE, str(folder))
    return folder


def test_the_dataset(cache, monkeypatch) -> None:
    monkeypatch.setattr(reader, "SAMPLES", replace(SMALL, count=2))
    dataset = reader.read_samples()
    assert dataset.name == "samples" and dataset.has_masks
    assert set(dataset.classes) == set(HELD_OUT_FAMILIES)
    assert not set(dataset.classes) & set(TRAINING_FAMILIES)
    assert len(dataset.images) == 4 * len(HELD_OUT_FAMILIES)
    for image in dataset.images:
        assert read_image(image.image).shape == (48, 48, 3)
        assert image.defect_type in HELD_OUT_DEFECTS if image.anomalous else image.defect_type is None
        assert image.defect_type not in TRAINING_DEFECTS
        if image.mask is not None:
            assert read_mask(image.mask, (48, 48)).any()
    assert {image.class_name: image.noun for image in dataset.images} == {
        "biscuit": "biscuit", "button": "button", "gear": "gear"
    }  # fmt: skip


def test_size_of_the_real_set() -> None:
    assert (samples.SAMPLES.count, samples.SAMPLES.size) == (12, 320)
    names = samples._names(samples.SAMPLES)
    assert len(names) == len(set(names)) == 1 + 36 * len(HELD_OUT_FAMILIES)


def test_the_set_to_learn_from_shows_nothing_held_out(cache, monkeypatch) -> None:
    monkeypatch.setattr(reader, "PROCEDURAL", replace(samples.PROCEDURAL, count=1, size=48))
    dataset = reader.read_procedural()
    assert dataset.name == "procedural" and dataset.has_masks
    assert set(dataset.classes) == set(TRAINING_FAMILIES)
    assert {image.defect_type for image in dataset.images if image.anomalous} <= set(TRAINING_DEFECTS)


def test_drawn_once_and_always_alike(cache, tmp_path, monkeypatch) -> None:
    folder = samples.drawn_folder(SMALL)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert samples.drawn_folder(SMALL) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert [path.name for path in cache.iterdir()] == [folder.name]
    monkeypatch.setenv(CACHE, str(tmp_path / "second"))
    again = samples.drawn_folder(SMALL)
    assert again != folder and again.name == folder.name
    assert manifest.read(again).manifest_hash == manifest.read(folder).manifest_hash


def test_families_do_not_share_their_light(cache) -> None:
    folder = samples.drawn_folder(SMALL)
    corners = [read_image(path)[:4, :4] for path in sorted((folder / "images").glob("*_normal_*"))]
    assert all(not np.array_equal(corners[0], corner) for corner in corners[1:])


def test_other_parameters_have_another_folder(cache) -> None:
    plans = [SMALL, replace(SMALL, size=64), replace(SMALL, count=2), replace(SMALL, seed=1)]
    assert len({samples._version(plan) for plan in plans}) == len(plans)


def test_interrupted_drawing_leaves_nothing(cache, monkeypatch) -> None:
    def fail(*args):
        raise KeyboardInterrupt

    write = samples.write_png
    monkeypatch.setattr(samples, "write_png", fail)
    with pytest.raises(KeyboardInterrupt):
        samples.drawn_folder(SMALL)
    assert list(cache.iterdir()) == []
    monkeypatch.setattr(samples, "write_png", write)
    assert samples.drawn_folder(SMALL).is_dir()


def test_removed_file_is_named(cache) -> None:
    folder = samples.drawn_folder(SMALL)
    next((folder / "masks").iterdir()).unlink()
    with pytest.raises(ZsadError, match=rf"{folder}' lack 'masks/.*delete that folder"):
        samples.drawn_folder(SMALL)


def test_concurrent_processes(cache) -> None:
    code = (
        "from dataclasses import replace; from zsad_plugins.drawn.folders import SAMPLES, drawn_folder; "
        "print(drawn_folder(replace(SAMPLES, count=1, size=48)))"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    answers = {process.communicate()[0].strip() for process in running}
    assert [process.returncode for process in running] == [0, 0, 0]
    (folder,) = answers
    assert [str(path) for path in cache.iterdir()] == [folder]


def test_another_process_was_faster(cache, monkeypatch) -> None:
    draw = samples._draw

    def draw_late(folder: Path, drawn: samples.DrawnSet) -> None:
        draw(folder, drawn)
        monkeypatch.setattr(samples, "_draw", draw)
        samples.drawn_folder(drawn)

    monkeypatch.setattr(samples, "_draw", draw_late)
    folder = samples.drawn_folder(SMALL)
    assert [path.name for path in cache.iterdir()] == [folder.name]


def test_cache_that_cannot_be_written(public_path, unprivileged, monkeypatch) -> None:
    folder = public_path / "closed"
    folder.mkdir(mode=0o555)
    monkeypatch.setenv(CACHE, str(folder))
    samples._version(SMALL)  # reads files that the other user may not see
    with (
        unprivileged(),
        pytest.raises(ZsadError, match=r"cannot draw the samples: .*closed.*permission.*ZSAD_CACHE"),
    ):
        samples.drawn_folder(SMALL)
    monkeypatch.setenv(CACHE, __file__)
    with pytest.raises(ZsadError, match="cannot draw the samples"):
        samples.drawn_folder(SMALL)


def test_cache_folder(monkeypatch) -> None:
    monkeypatch.setenv(CACHE, "~/z")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert cache_folder() == Path("/home/somebody/z")
    monkeypatch.setenv(CACHE, "")
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/c")
    assert cache_folder() == Path("/var/c/zsad")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == Path("/home/somebody/.cache/zsad")


def test_folder_can_be_shared(cache) -> None:
    assert os.stat(samples.drawn_folder(SMALL)).st_mode & 0o777 == 0o755
