"""``zsad metrics``, and what the listings and help of evaluation may import."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli import test_listings
from zsad.evaluation.request import EvaluationRequest
from zsad.evaluation.summary import STANDARD_METRICS


def test_list_and_info(zsad) -> None:
    rows = json.loads(zsad("metrics", "--json").out)
    standard = EvaluationRequest(methods=(), data=(), folder=Path()).metrics
    assert [row["name"] for row in rows][:7] == list(standard) == list(STANDARD_METRICS)
    tuned = {row["name"] for row in rows if row["uses_test_labels"]}
    assert tuned == {"image_f1_max", "pixel_f1_max"}
    assert json.loads(zsad("metrics", "list", "--json").out) == rows
    plain = zsad("metrics").out.splitlines()
    assert plain[0].split() == ["name", "uses_test_labels", "summary"] and len(plain) == 1 + len(rows)
    info = json.loads(zsad("metrics", "info", "aupro", "--json").out)
    assert info["distribution"] == "zsad" and "0.3" in info["summary"]
    assert "aupro" in zsad("metrics", "info", "zsad:aupro").out


def test_an_unknown_metric_is_named(zsad) -> None:
    answer = zsad("metrics", "info", "aupr")
    assert answer.code == 2 and "did you mean 'aupro'?" in answer.sentence


@pytest.mark.parametrize(
    "words", [["eval", "--help"], ["quickstart", "--help"], ["report", "--help"], ["metrics"], ["datasets"]]
)
def test_imports_stay_light(words: list[str]) -> None:
    test_listings.test_imports_stay_light(words)
