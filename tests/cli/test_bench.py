"""``zsad bench methods`` and ``zsad bench train``."""

from __future__ import annotations

import json

import pytest


def test_a_row_per_method_and_one_for_all(zsad, tiny) -> None:
    words = ("bench", "methods", "--method", "crane", "--method", "anomalyclip", "--method", "crane",
             "--backbone", tiny,
             "--image-size", 80, "--repeats", 1)  # fmt: skip
    answer = zsad(*words)
    assert answer.code == 0
    header, *lines = answer.out.splitlines()
    assert header.split() == ["methods", "encode_s", "score_s", "passes", "blocks", "terms", "attentions",
                              "peak_mib", "ratio"]  # fmt: skip
    assert [line.split("  ")[0] for line in lines] == ["crane", "anomalyclip", "crane + anomalyclip"]
    assert lines[-1].split()[5:9] == ["1", "4", "8", "16"]
    assert "at 80 px, " in answer.err and "random weights: crane, anomalyclip" in answer.err
    assert "not all share" not in answer.err
    result = json.loads(zsad(*words, "--json", "--dtype", "bfloat16").out)
    assert result["dtype"] == "bfloat16" and result["groups"] == [["crane", "anomalyclip"]]
    assert min(row["ratio"] for row in result["rows"]) > 0


def test_methods_that_share_no_pass_are_named(zsad, tiny) -> None:
    answer = zsad("bench", "methods", "--method", "adaclip", "--method", "winclip", "--backbone", tiny,
                  "--image-size", 80, "--repeats", 1)  # fmt: skip
    assert answer.code == 0 and "not all share a pass: adaclip; winclip" in answer.err


def test_settings_count_for_every_method(zsad, tiny) -> None:
    words = ("bench", "methods", "--method", "anomalyclip", "--method", "aprilgan", "--backbone", tiny,
             "--image-size", 80, "--repeats", 1, "--json")  # fmt: skip
    plain = json.loads(zsad(*words).out)["rows"]
    answer = zsad(*words, "--set", "attention_refiner=standard.self_attention")
    refined = json.loads(answer.out)["rows"]
    assert [row["terms"] > 0 for row in plain] == [True, False, True]
    assert all(row["terms"] > 0 for row in refined)
    answer = zsad(*words, "--set", "scorer.tempo=1")
    assert answer.code == 2 and "tempo" in answer.sentence


def test_what_does_not_exist_or_fit_is_named(zsad, tiny) -> None:
    answer = zsad("bench", "methods", "--method", "crone", "--backbone", tiny)
    assert answer.code == 2 and "did you mean 'crane'?" in answer.sentence
    answer = zsad("bench", "methods", "--method", "crane", "--backbone", tiny, "--image-size", 81)
    assert answer.code == 2 and "multiple" in answer.sentence


def test_an_epoch_from_the_cache_loses_what_one_without_does(zsad, tiny) -> None:
    answer = zsad("bench", "train", "--backbone", tiny, "--images", 10, "--json")
    assert answer.code == 0, answer.err
    result = json.loads(answer.out)
    live, cached = result["rows"]
    assert [row["features"] for row in (live, cached)] == ["encoded anew", "from the cache"]
    for name in ("focal", "dice", "image"):
        assert cached[name] == pytest.approx(live[name], rel=1e-5)
    assert result["largest_difference"] < 1e-5 and result["cache_mib"] > 0 and live["speedup"] == 1
    answer = zsad("bench", "train", "--backbone", tiny, "--images", 4, "--method", "clip-baseline")
    assert answer.code == 2 and "learns nothing" in answer.sentence
    answer = zsad("bench", "train", "--backbone", tiny, "--images", 4, "--method", "adaclip")
    assert answer.code == 2 and "cannot be cached" in answer.sentence
