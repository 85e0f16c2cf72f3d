"""The table of shots, with mini and drawn images, against `zsad eval` with the same references."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from benchmarks import shots
from benchmarks.shot_tables import FIGURES, Table, written
from tests.training.drawing import draw_set
from zsad.detect.references import ReferenceRequest
from zsad.errors import InputError
from zsad.evaluation.evaluate import evaluate
from zsad.evaluation.request import EvaluationRequest

NAMES = ("image_auroc", "pixel_auroc", "pixel_ap")


def cells(text: str, label: str, method: str) -> list[list[str]]:
    """Return the cells of a method on a set, a list for every figure."""
    lines = [line for line in text.splitlines() if line.startswith(f"| {label} | {method} |")]
    return [[cell.strip() for cell in line.strip("|").split("|")][2:] for line in lines]


def by_hand(root: Path, pool: Path, tested: Path) -> None:
    """Part a set: the half of its good images with the smaller sha256, and the rest."""
    good = sorted((root / "good").iterdir(), key=lambda path: hashlib.sha256(path.read_bytes()).hexdigest())
    shutil.copytree(root, tested)
    pool.mkdir()
    for path in good[: len(good) // 2]:
        (tested / "good" / path.name).rename(pool / path.name)


def evaluated(method: str, folder: Path, data: Path, references: ReferenceRequest | None) -> list[float]:
    (cell,) = evaluate(
        EvaluationRequest(
            methods=(method,), data=(f"folder={data}",), backbone="mini", folder=folder,
            metrics=NAMES, workers=0, references=references,
        )
    ).cells  # fmt: skip
    return [value for name in NAMES if (value := cell.metrics[name]) is not None]


def test_the_figures_are_those_of_evaluations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, pool, tested = (
        draw_set(tmp_path / "bottle", normal=7),
        tmp_path / "pool",
        tmp_path / "apart" / "bottle",
    )
    by_hand(root, pool, tested)
    out = tmp_path / "out"
    asked = ["--method", "clip-baseline", "--method", "nearest-neighbour", "--method", "aprilgan@few-shot",
             "--data", f"folder={root}", "--shots", "1", "2", "--seeds", "1", "--out", str(out)]  # fmt: skip
    shots.main(asked)
    text = (out / "shots.md").read_text()
    expected = evaluated("clip-baseline", tmp_path / "0", tested, None)
    found = cells(text, "bottle", "clip-baseline")
    assert found == [[f"{100 * value:.1f}", "", ""] for value in expected] and len(found) == len(FIGURES)
    for method in ("nearest-neighbour", "aprilgan@few-shot"):  # the second one waits for the whole class
        rows = cells(text, "bottle", method)
        for place, count in enumerate((1, 2), start=1):
            request = ReferenceRequest(pool, shots=count, seed=0)
            values = evaluated(method, tmp_path / f"{method}-{count}", tested, request)
            assert [row[place] for row in rows] == [f"{100 * value:.1f}" for value in values]
    monkeypatch.setattr(shots, "_figures", None)  # nothing is measured again
    shots.main(asked)
    assert (out / "shots.md").read_text() == text


def test_the_table_has_mean_and_deviation_over_the_seeds() -> None:
    table: Table = {
        ("a", "m"): {(1, 0): [0.5, 0.1, 0.1], (1, 1): [0.7, 0.1, 0.1]},
        ("b", "m"): {(1, 0): [0.9, 0.1, 0.1], (1, 1): [0.7, 0.1, 0.1]},
    }
    text = written(table, ["m"], [1])
    assert cells(text, "a", "m")[0] == ["", "60.0 ± 14.1"]
    assert cells(text, "mean", "m")[0] == ["", "70.0 ± 0.0"]
    del table["b", "m"][1, 1]
    text = written(table, ["m"], [1])
    assert cells(text, "b", "m")[0] == ["", "90.0 (1 draw)"] and not cells(text, "mean", "m")


def test_a_set_that_cannot_be_parted_is_refused(tmp_path: Path) -> None:
    root = draw_set(tmp_path / "bottle", normal=1)
    asked = ["--method", "nearest-neighbour", "--data", f"folder={root}", "--out", str(tmp_path / "out")]
    with pytest.raises(InputError, match="need two different ones"):
        shots.main(asked)
    assert not (tmp_path / "out").exists()
