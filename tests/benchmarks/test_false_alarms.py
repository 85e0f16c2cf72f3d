"""The script that measures false alarms on good parts that did not calibrate."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import false_alarms
from tests.cli.conftest import TINY
from tests.evaluation.drawing import draw
from zsad.detect.threshold_rules import exact


def test_the_rates_are_those_of_the_promise() -> None:
    values = np.random.default_rng(0).random(75).tolist()
    found = false_alarms.rates(values, "conformal", exact(0.05), 39, 2000, 1)
    assert found.mean() == pytest.approx(0.05, abs=0.004)  # (39 + 1 - 38) / (39 + 1)
    assert false_alarms.rates(values, "conformal", exact(0.05), 39, 5, 1).tolist() == found[:5].tolist()


def test_scores_are_kept_and_no_anomalous_image_is_read(tmp_path: Path, capsys, monkeypatch) -> None:
    root, out = draw(tmp_path / "parts"), tmp_path / "out"
    asked = ["--data", f"folder={root}:gear", "--backbone", TINY, "--out", str(out), "--calibrating", "2",
             "--false-alarm", "0.4", "--splits", "20"]  # fmt: skip
    read: list[Path] = []
    predict_files = false_alarms.predict_files

    def watched(detector, paths, *rest):
        read.extend(paths)
        return predict_files(detector, paths, *rest)

    monkeypatch.setattr(false_alarms, "predict_files", watched)
    false_alarms.main(asked)
    first = capsys.readouterr().out
    assert read and {path.parent.name for path in read} == {"good"}
    table = json.loads((out / "rates.json").read_text())
    assert len(table) == 6 and len(first.splitlines()) == 8
    count = len(read)
    false_alarms.main(asked)
    assert capsys.readouterr().out == first and len(read) == count
