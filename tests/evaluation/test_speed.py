"""What the speed figures count; the seconds themselves depend on the machine."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from tests.cli.conftest import TINY
from zsad.detect.request import DetectorRequest
from zsad.errors import InputError
from zsad.evaluation.speed import bench_methods

METHODS = ("cops", "anomalyclip", "crane")


def untrained(*methods: str, backbone: str = TINY, **wanted: Any) -> list[DetectorRequest]:
    return [DetectorRequest(method=name, backbone=backbone, untrained=True, **wanted) for name in methods]


def test_shared_terms_are_counted_once() -> None:
    result = bench_methods(untrained(*METHODS, dtype="float32", device="cpu"), images=2, repeats=2)
    cops, anomalyclip, crane, together = result["rows"]
    assert [row["methods"] for row in result["rows"]] == [*([name] for name in METHODS), list(METHODS)]
    assert result["groups"] == [list(METHODS)] and result["untrained"] == list(METHODS)
    # Four blocks, one pass for both images; v-v attention from block 1 serves all three.
    for row in (cops, anomalyclip):
        assert (row["passes"], row["blocks"], row["terms"]) == (1, 4, 4)
        assert row["attentions_by_pair"] == {"qk": 4, "vv": 4} and row["attentions"] == 8
    assert crane["attentions_by_pair"] == {"kk": 4, "qk": 4, "qq": 4, "vv": 4} and crane["terms"] == 4
    assert together["attentions_by_pair"] == crane["attentions_by_pair"] and together["attentions"] == 16
    assert (together["passes"], together["blocks"], together["terms"]) == (1, 4, 8)


def test_figures_are_positive_and_relative_to_the_dearest_alone() -> None:
    result = bench_methods(untrained("clip-baseline", "winclip", image_size=80), repeats=1)
    *alone, together = result["rows"]
    assert max(row["ratio"] for row in alone) == 1 and together["ratio"] > 0
    for row in result["rows"]:
        assert min(row["encode_seconds"], row["score_seconds"], row["peak_mib"], row["ratio"]) > 0
    assert [row["window_passes"] for row in result["rows"]] == [0, 2, 2]
    assert result["untrained"] == [] and result["image_sizes"] == [80]


def test_methods_that_cannot_share_take_passes_of_their_own() -> None:
    result = bench_methods(untrained("adaclip", "clip-baseline"), repeats=1)
    assert result["groups"] == [["adaclip"], ["clip-baseline"]]
    # Injected tokens come from a plain pass before.
    assert [row["passes"] for row in result["rows"]] == [2, 1, 3]


def test_one_method_has_one_row() -> None:
    (row,) = bench_methods(untrained("clip-baseline"), repeats=1)["rows"]
    assert row["ratio"] == 1


def test_few_shot_methods_have_references_before_the_clock_counts() -> None:
    result = bench_methods(untrained("clip-baseline", "nearest-neighbour", image_size=64), repeats=1)
    assert result["references"] == {"nearest-neighbour": 4}
    assert [row["passes"] for row in result["rows"]] == [1, 1, 1]


def test_an_unknown_method_is_refused_before_a_backbone_is_loaded() -> None:
    with pytest.raises(InputError, match="did you mean 'crane'"):
        bench_methods(untrained("crone", backbone="no-such-backbone"))


PEAKS = """
import torch
from zsad.evaluation.speed import Meter
meter = Meter(torch.device("cpu"))
meter.reset()
large, seconds = meter.timed(lambda: torch.ones(2**26))  # 256 MiB
high = meter.peak()
del large
meter.reset()
assert seconds > 0 and high > 2**28
if meter.memory == "resident":  # without Linux's mark the peak is the process's
    assert meter.peak() < high - 2**27, (meter.peak(), high)
"""


def test_the_peak_of_memory_belongs_to_one_run() -> None:
    # In a process of its own: one that has run other tests may keep what is freed for later.
    subprocess.run([sys.executable, "-c", PEAKS], check=True, timeout=120)
