"""Real sets through the whole command: what is defined gets a figure, what is not says why."""

from __future__ import annotations

import csv
import json

import pytest

from tests.cli.conftest import zsad as zsad  # the command as a function

pytestmark = pytest.mark.acceptance


@pytest.fixture
def evaluated(zsad, bench, tmp_path):
    """Evaluate a set; return its one cell, its mean row, and what was said on stderr."""

    def run(name):
        out = tmp_path / name
        spec = f"manifest={bench / name / 'manifest.csv'}"
        answer = zsad("eval", "--method", "clip-baseline", "--data", spec, "--out", out, "--workers", 1)
        assert answer.code == 0, answer.err
        (cell,) = [json.loads(path.read_text()) for path in (out / "cells").glob("*.json")]
        with (out / "summary.csv").open(newline="") as stream:
            (mean,) = [row for row in csv.DictReader(stream) if row["class"] == "mean"]
        return cell, mean, answer.err

    return run


def test_a_set_with_normal_images_has_image_figures(evaluated):
    cell, mean, _ = evaluated("mtd")
    assert (cell["n_normal"], cell["n_anomalous"], cell["undefined"]) == (75, 75, {})
    assert 0.65 < float(mean["image_auroc"]) < 1 and 0.7 < float(mean["pixel_auroc"]) < 1


def test_a_set_without_normal_images_says_so(evaluated):
    cell, mean, said = evaluated("crackforest")
    assert cell["metrics"]["image_auroc"] is None
    assert cell["undefined"]["image_auroc"] == "undefined: no normal images"
    assert mean["image_auroc"] == "" and 0.8 < float(mean["pixel_auroc"]) < 1
    assert "undefined: no normal images" in said
