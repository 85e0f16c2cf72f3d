from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
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
                if (cell["method"], cell["class"]) == (method, class_name.split(" / ")[1])
            ]
            area = auc(*zip(*points, strict=True))
            assert area == pytest.approx(cell["metrics"]["image_auroc"], abs=1e-9)


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
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(runs / "first", copy)
    (copy / "per_image.parquet").unlink()
    curve, cases = ResultsTab({"copy": copy}).of_class("copy", "samples / gear")
    assert "No curve" in curve
    assert cases
