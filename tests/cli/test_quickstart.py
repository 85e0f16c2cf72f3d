"""``zsad quickstart``: everything from nothing, without a network."""

from __future__ import annotations

import csv
import json
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from zsad.files import CACHE
from zsad_plugins.drawn import datasets as layout
from zsad_plugins.drawn import folders

FIXTURES = Path(__file__).parents[1] / "evaluation" / "fixtures"
METHODS = ("clip-baseline", "winclip", "anomalyclip")


@pytest.fixture
def offline(monkeypatch, tmp_path) -> None:
    def refused(*_: object, **__: object) -> None:
        raise AssertionError("quickstart must not open a connection")

    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)


def check(answer, out) -> None:
    assert answer.code == 0, answer.err
    with (out / "summary.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    means = [row for row in rows if row["class"] == "mean"]
    assert [row["method"] for row in means] == list(METHODS)
    for row in means:
        assert row["backbone"] == "mini" and row["contaminated"] == "false"
        assert all(0 <= float(row[name]) <= 1 for name in ("image_auroc", "pixel_auroc", "aupro"))
    run = json.loads((out / "run.json").read_text())
    assert run["complete"] and run["passes"] == run["datasets"]["samples"]["images"]
    assert Image.open(out / "pictures.png").width > 1000
    assert "data:image/jpeg;base64," in (out / "report.html").read_text()


def test_a_small_quickstart(zsad, offline, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(layout, "SAMPLES", replace(folders.SAMPLES, count=2, size=64))
    out = tmp_path / "out"
    answer = zsad("quickstart", "--out", out)
    check(answer, out)
    assert answer.out.splitlines()[0].split()[:3] == ["method", "dataset", "class"]
    assert f"pictures: {out / 'pictures.png'}" in answer.err
    again = zsad("quickstart", "--out", out, "--json")
    report = json.loads(again.out)
    assert again.code == 0 and report["pictures"] == str(out / "pictures.png") and report["rows"]
    assert "9 of 9 cells were finished already" in again.err


def test_an_evaluation_is_not_overwritten(zsad, offline, tmp_path) -> None:
    run = json.loads((FIXTURES / "format-1" / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps(run))
    answer = zsad("quickstart", "--out", tmp_path)
    assert answer.code == 2 and f"--out {tmp_path} holds an evaluation of its own" in answer.sentence


@pytest.mark.acceptance
def test_the_quickstart(zsad, offline, tmp_path) -> None:
    answer = zsad("quickstart", "--out", tmp_path / "out")
    check(answer, tmp_path / "out")
    assert [line.split()[0] for line in answer.out.splitlines()].count("winclip") == 4
