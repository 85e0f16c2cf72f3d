"""The table of nouns, with mini and drawn images, against `zsad eval` with the same nouns."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.nouns import KINDS, main, wrong_nouns
from tests.training.drawing import draw_set
from zsad.data.spec import open_dataset
from zsad.errors import InputError
from zsad.evaluation.evaluate import evaluate
from zsad.evaluation.request import EvaluationRequest
from zsad.plugin.host import get_host


@pytest.fixture
def specs(tmp_path: Path) -> list[str]:
    return [f"folder={draw_set(tmp_path / name)}" for name in ("bottle", "cable")]


def cells(text: str, method: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {method} |")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_the_table_is_that_of_three_evaluations(tmp_path: Path, specs: list[str]) -> None:
    words = [word for spec in specs for word in ("--data", spec)]
    out = tmp_path / "nouns.md"
    main(["--method", "winclip", "--method", "filo", "--method", "anomalyclip", *words, "--out", str(out)])
    text = out.read_text()
    expected: dict[str, list[str]] = {"winclip": [], "filo": []}
    for nouns in ({}, {"bottle": "object", "cable": "object"}, {"bottle": "cable", "cable": "bottle"}):
        request = EvaluationRequest(
            methods=("winclip", "filo"), data=tuple(specs), backbone="mini",
            folder=tmp_path / str(len(expected["filo"])),
            nouns=nouns, metrics=("pixel_auroc", "pixel_ap"), workers=0,
        )  # fmt: skip
        finished = evaluate(request).cells
        for method, row in expected.items():
            found = [cell.metrics for cell in finished if cell.method == method]
            means = [100 * sum(each[name] for each in found) / 2 for name in ("pixel_auroc", "pixel_ap")]
            row.append(" / ".join(f"{mean:.1f}" for mean in means))
    for method, row in expected.items():
        assert cells(text, method) == row and len(set(row)) > 1
    assert cells(text, "anomalyclip")[1:] == ["reads none"] * 2
    assert re.fullmatch(r"[\d.]+ / [\d.]+", cells(text, "anomalyclip")[0])
    assert text.startswith(f"| pixel AUROC / AP | {' | '.join(KINDS)} |")


def test_the_wrong_noun_is_the_next_one(tmp_path: Path, specs: list[str]) -> None:
    third = f"folder={draw_set(tmp_path / 'apple')}"
    datasets = [open_dataset(spec, get_host()) for spec in (*specs, third)]
    assert wrong_nouns(datasets) == {"apple": "bottle", "bottle": "cable", "cable": "apple"}
    with pytest.raises(InputError, match="there is one class only; name more --data"):
        wrong_nouns(datasets[:1])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--method", "musc"], "musc: its answers depend on more than one image"),
        (["--method", "winclip", "--weights", "cops=x"], "write METHOD=FILE, for a method that is measured"),
    ],
)
def test_what_it_cannot_measure_is_said(
    tmp_path: Path, specs: list[str], words: list[str], sentence: str
) -> None:
    data = [word for spec in specs for word in ("--data", spec)]
    with pytest.raises(InputError, match=sentence):
        main([*words, *data, "--out", str(tmp_path / "nouns.md")])
    assert not (tmp_path / "nouns.md").exists()
