"""The checks and times of a GPU, run on the CPU with a tiny model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.checkout import register
from benchmarks.gpu import BUDGETS, main
from benchmarks.report import Report, read, state_of, text_of
from benchmarks.sections import difference

ROOT = Path(__file__).parents[2]


def run(capsys: pytest.CaptureFixture[str], out: Path, *words: str) -> tuple[int, dict[str, Any], str]:
    code = main(["--quick", "--device", "cpu", "--out", str(out), *words])
    content = json.loads((out / "gpu.json").read_text())
    return code, content, capsys.readouterr().out


@pytest.mark.acceptance
def test_everything_runs_on_the_cpu(tmp_path: Path) -> None:
    ran = subprocess.run(
        [ROOT / "benchmarks" / "gpu.sh", "--quick", "--device", "cpu", "--minutes", "80",
         "--out", tmp_path / "out"],
        env=os.environ | {"PYTHON": sys.executable, "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )  # fmt: skip
    content = json.loads((tmp_path / "out" / "gpu.json").read_text())
    assert ran.returncode == 0, ran.stdout + ran.stderr
    sections = content["sections"]
    assert list(sections) == list(BUDGETS)
    assert {section["state"] for section in sections.values()} == {"passed"}
    assert sections["machine"]["facts"]["torch"] == torch.__version__.partition("+")[0]
    assert sections["parity"]["rows"][0]["golden"] == "clip_plain"
    assert 0 < sections["parity"]["rows"][0]["difference"] < 1e-4
    timed = {row["what"] for row in sections["speed"]["rows"]}
    assert timed == {"bare encode_image", "clip-baseline", "anomalyclip", "cops", "crane", "aprilgan"}
    for row in sections["speed"]["rows"]:
        assert row["seconds_per_image"] * row["images_per_second"] == pytest.approx(1)
    assert sections["precision"]["rows"][0]["map_largest"] > 1e-4  # bfloat16 is not float32
    assert {check["value"] for check in sections["training"]["checks"]} == {0}
    lines = (tmp_path / "out" / "gpu.txt").read_text().splitlines()
    assert sum(line.startswith("== ") for line in lines) == len(BUDGETS)


def test_a_section_that_breaks_costs_the_others_nothing(capsys: Any, tmp_path: Path) -> None:
    code, content, said = run(capsys, tmp_path, "--only", "speed,machine", "--backbone", "nonsense@random:0")
    assert code == 1
    speed, machine = content["sections"]["speed"], content["sections"]["machine"]
    assert speed["state"] == "error" and "nonsense" in speed["error"]
    assert machine["state"] == "passed" and machine["facts"]["device"] == "cpu"
    assert "== speed: error" in said and said.endswith("failed: speed\n")


def test_time_that_is_over_ends_a_section_and_those_behind_it(capsys: Any, tmp_path: Path) -> None:
    # Six seconds are enough to begin with, and too few to import torch, load models and train three times.
    code, content, _ = run(capsys, tmp_path, "--only", "training,machine", "--minutes", "0.1")
    assert code == 1
    states = [section["state"] for section in content["sections"].values()]
    assert states == ["out of time", "not run"]
    assert content["sections"]["training"]["seconds"] < 20


def test_an_unknown_section_is_named(capsys: Any, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="--only warp: there is no section warp"):
        main(["--only", "warp", "--out", str(tmp_path)])


def test_a_report_is_on_disk_after_every_entry(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    assert read(path) == {"facts": {}, "checks": [], "rows": []}
    report = Report(path)
    report.fact(device="cpu")
    report.row(what="bare", seconds=0.25)
    assert read(path) == {
        "facts": {"device": "cpu"},
        "checks": [],
        "rows": [{"what": "bare", "seconds": 0.25}],
    }
    report.check("map", 2e-5, 1e-4)
    assert state_of(read(path), 0) == "passed"
    report.check("score", float("nan"), 1e-4)
    assert [check["passed"] for check in read(path)["checks"]] == [True, False]
    assert state_of(read(path), 0) == "failed"
    assert (state_of(read(path), 1), state_of(read(path), None)) == ("error", "out of time")
    text = text_of("speed", {**read(path), "state": "failed", "seconds": 1.5, "error": "boom\n"})
    assert text.splitlines() == [
        "== speed: failed (2 s)",
        "device: cpu",
        "ok  map: 2e-05 (at most 0.0001)",
        "OFF score: nan (at most 0.0001)",
        "what  seconds",
        "bare  0.25",
        "the end of its messages:",
        "  boom",
    ]


def test_differences_are_in_units_of_the_spread() -> None:
    rng = np.random.default_rng(0)
    expected, gap = rng.normal(size=(2, 5, 5)), rng.normal(size=(2, 5, 5)) * 1e-3
    largest, mean = difference(torch.from_numpy(expected + gap), torch.from_numpy(expected))
    assert largest == pytest.approx(np.abs(gap).max() / expected.std())
    assert mean == pytest.approx(np.abs(gap).mean() / expected.std())
    assert difference(torch.tensor([float("nan")]), torch.zeros(1)) == (float("inf"), float("inf"))


def test_a_checkout_is_known_by_its_entry_points(tmp_path: Path) -> None:
    register(ROOT, tmp_path)
    (found,) = distributions(path=[str(tmp_path)])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (found.name, found.version) == (project["name"], project["version"])
    points = {point.name: point.value for point in found.entry_points if point.group == "zsad"}
    assert points == project["entry-points"]["zsad"]
