from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import auc, roc_curve

from zsad.errors import InputError
from zsad_demo.runs import Run, find_runs, roc_points
from zsad_demo.tabs.results import ResultsTab


def test_a_run_and_a_folder_of_runs_are_found(runs: Path) -> None:
    assert find_runs(runs) == {"first": runs / "first"}
    assert find_runs(runs / "first") == {"first": runs / "first"}


def test_folders_without_a_run_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run there"):
        find_runs(tmp_path)
    with pytest.raises(InputError, match="there is no such folder"):
        find_runs(tmp_path / "missing")


def test_the_table_is_the_summary_in_per_cent(runs: Path) -> None:
    header, rows = Run.read(runs / "first").table()
    with (runs / "first" / "summary.csv").open(newline="") as stream:
        wanted = list(csv.DictReader(stream))
    assert len(rows) == len(wanted) == 6
    for row, cell in zip(rows, wanted, strict=True):
        shown = dict(zip(header, row, strict=True))
        assert (shown["method"], shown["setting"]) == (cell["method"], cell["setting"])
        assert shown["image AUROC"] == f"{100 * float(cell['image_auroc']):.1f}"
        assert shown["AUPRO@0.3"] == f"{100 * float(cell['aupro']):.1f}"


def test_roc_corners_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        normal, anomalous = rng.integers(0, 8, 9) / 8, rng.integers(2, 10, 7) / 8
        points = roc_points(normal.tolist(), anomalous.tolist())
        labels = np.r_[np.zeros(9), np.ones(7)]
        x, y, _ = roc_curve(labels, np.r_[normal, anomalous], drop_intermediate=False)
        assert points[0] == (0, 0)
        assert points[-1] == (1, 1)
        assert {(round(a, 9), round(b, 9)) for a, b in zip(x, y, strict=True)} >= {
            (round(a, 9), round(b, 9)) for a, b in points
        }
        assert auc(*zip(*points, strict=True)) == pytest.approx(auc(x, y), abs=1e-12)
    assert roc_points([0.5], []) == []


def test_curves_have_the_area_of_the_table(runs: Path) -> None:
    run = Run.read(runs / "first")
    for class_name in run.classes():
        for method, points in run.curves(class_name).items():
            (cell,) = [
                cell
                for cell in run.cells
                if (cell.method, cell.class_name) == (method, class_name.split(" / ")[1])
            ]
            area = auc(*zip(*points, strict=True))
            assert area == pytest.approx(cell.metrics["image_auroc"], abs=1e-9)


def test_cases_are_the_worst_found_and_the_false_alarms(runs: Path) -> None:
    cases = Run.read(runs / "first").cases("samples / gear")
    captions = [caption for _, caption in cases]
    assert sum("found worst" in caption for caption in captions) == 4  # two of each method
    assert sum("false alarm" in caption for caption in captions) == 4
    assert sum(caption.startswith("truth of") for caption in captions) == 4
    assert not any("/" in caption for caption in captions)
    assert {picture.size for picture, _ in cases} == {(256, 256)}


def test_the_tab_shows_a_class_and_refuses_others(runs: Path) -> None:
    tab = ResultsTab(find_runs(runs))
    _, classes, curve, cases = tab.results("first")
    assert classes.choices == [
        ("samples / biscuit", "samples / biscuit"),
        ("samples / gear", "samples / gear"),
    ]
    assert curve.count("<polyline") == 2
    assert len(cases) == 12
    with pytest.raises(Exception, match="unknown run"):
        tab.results("../first")
    with pytest.raises(Exception, match="unknown class"):
        tab.of_class("first", "samples / nut")


def test_a_run_without_scores_has_no_curve(runs: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(runs / "first", copy)
    (copy / "per_image.parquet").unlink()
    curve, cases = ResultsTab({"copy": copy}).of_class("copy", "samples / gear")
    assert "No curve" in curve
    assert cases


def _spoilt_cell(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = sorted((folder / "cells").glob("*.json"))[0]
    cell = json.loads(path.read_text())
    change(cell)
    path.write_text(json.dumps(cell))


def _lead_out(cell: dict[str, Any]) -> None:
    for case in cell["cases"]:
        case["pictures"]["overlay"] = "../../outside.png"


SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "run.json is a list": (lambda folder: (folder / "run.json").write_text("[]"), "copy/run.json is damaged"),
    "run.json is empty": (
        lambda folder: (folder / "run.json").write_text(""),
        "copy/run.json is not readable",
    ),
    "no cells": (lambda folder: (folder / "run.json").write_text("{}"), "copy/run.json is damaged"),
    "no metrics": (lambda folder: _spoilt_cell(folder, lambda cell: cell.pop("metrics")), ".json is damaged"),
    "no dataset": (lambda folder: _spoilt_cell(folder, lambda cell: cell.pop("dataset")), ".json is damaged"),
    "no class": (lambda folder: _spoilt_cell(folder, lambda cell: cell.pop("class")), ".json is damaged"),
    "no cases": (lambda folder: _spoilt_cell(folder, lambda cell: cell.pop("cases")), ".json is damaged"),
    "rows": (
        lambda folder: (folder / "per_image.parquet").write_bytes(b"PAR1 no"),
        "copy/per_image.parquet is damaged",
    ),
    "no pictures": (lambda folder: [path.unlink() for path in folder.glob("cells/*/*")], "cannot read"),
    "a picture from elsewhere": (lambda folder: _spoilt_cell(folder, _lead_out), "outside of its folder"),
}


@pytest.mark.parametrize("spoilt", SPOILT)
@pytest.mark.parametrize("relative", [False, True])
def test_damaged_runs_are_one_sentence(
    runs: Path, tmp_path: Path, spoilt: str, relative: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(runs / "first", copy)
    Image.new("RGB", (8, 8)).save(tmp_path / "outside.png")
    spoil, wanted = SPOILT[spoilt]
    spoil(copy)
    with pytest.raises(gr.Error) as error:
        tab = ResultsTab({"copy": Path("copy") if relative else copy})
        tab.results("copy")
        tab.of_class("copy", "samples / gear")
    assert wanted in error.value.message
    assert str(tmp_path) not in error.value.message


@pytest.mark.parametrize("name", [["copy"], {"a": 1}, 3, None, "x" * 100_000])
def test_run_and_class_of_another_type_are_refused(runs: Path, name: Any) -> None:
    tab = ResultsTab(find_runs(runs))
    for ask in (lambda: tab.results(name), lambda: tab.of_class("first", name)):
        with pytest.raises(gr.Error, match=r"unknown (run|class)") as error:
            ask()
        assert len(error.value.message) < 200
