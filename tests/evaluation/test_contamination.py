"""Cells whose images a backbone or weights saw in training."""

from __future__ import annotations

import csv
from dataclasses import replace

import pytest

from zsad.backbones.card import TrainedOn
from zsad.weights.card import WeightsCard


def card(*trained_on: TrainedOn) -> WeightsCard:
    return WeightsCard(method="m", parts={}, profile={}, origin="own", trained_on=trained_on)


def summary(run) -> dict[str, dict[str, str]]:
    with (run.folder / "summary.csv").open(newline="") as stream:
        return {row["class"]: row for row in csv.DictReader(stream)}


@pytest.mark.parametrize("include", [False, True])
def test_a_class_that_was_seen_stays_out_of_the_mean(evaluate, detector, dataset, include) -> None:
    found = detector("clip-baseline")
    found.cards = {"scorer": card(TrainedOn(dataset="Parts", classes=("gear",)))}
    run = evaluate([found], [dataset], include_contaminated=include)
    assert run.cell("clip-baseline", "gear").contaminated_by == "weights of scorer"
    assert run.cell("clip-baseline", "screw").contaminated_by == ""
    rows = summary(run)
    assert [rows[name]["contaminated"] for name in ("gear", "screw")] == ["true", "false"]
    gear, screw, mean = (float(rows[name]["pixel_auroc"]) for name in ("gear", "screw", "mean"))
    assert mean == ((gear + screw) / 2 if include else screw)
    assert rows["mean"]["contaminated"] == str(include).lower()
    assert rows["mean"]["n_normal"] == ("6" if include else "3")
    page = (run.folder / "report.html").read_text()
    assert "contaminated" in page and f">{100 * mean:.1f}<" in page
    assert ("left out: 1" in page) is not include


def test_a_mean_without_any_clean_class_is_empty(evaluate, detector, dataset) -> None:
    found = detector("clip-baseline")
    found.cards = {"scorer": card(TrainedOn(dataset="parts"))}
    run = evaluate([found], [dataset])
    assert summary(run)["mean"]["image_auroc"] == "" and summary(run)["gear"]["image_auroc"] != ""
    assert "left out: 2" in (run.folder / "report.html").read_text()


def test_files_are_known_whatever_the_dataset_is_called(evaluate, detector, dataset) -> None:
    renamed = replace(dataset, name="mine")
    one_class = dataset.restricted_to(["gear"]).manifest_hash
    cases = {
        "whole": (TrainedOn(dataset="parts", manifest=dataset.manifest_hash), ["gear", "screw"]),
        "class": (TrainedOn(dataset="parts", manifest=one_class), ["gear"]),
        "other": (TrainedOn(dataset="others", manifest="0" * 64), []),
        "listed": (TrainedOn(dataset="x", classes=("screw",), manifest=dataset.manifest_hash), ["screw"]),
    }
    for name, (entry, expected) in cases.items():
        found = detector("clip-baseline")
        found.cards = {"scorer": card(entry)}
        run = evaluate([found], [renamed], out=name, metrics=("image_ap",))
        assert [cell.class_name for cell in run.cells if cell.contaminated_by] == expected


def test_what_the_backbone_saw_counts_too(evaluate, detector, dataset, monkeypatch) -> None:
    found = detector("clip-baseline")
    seen = replace(found.backbone.card, datasets=(TrainedOn(dataset="PARTS"),))
    monkeypatch.setattr(found.backbone, "card", seen)
    for cell in evaluate([found], [dataset], metrics=("image_ap",)).cells:
        assert cell.contaminated_by.startswith("backbone ")


def test_a_resumed_cell_says_what_is_known_now(evaluate, detector, dataset) -> None:
    found = detector("clip-baseline")
    first = evaluate([found], [dataset], metrics=("image_ap",))
    found.cards = {"scorer": card(TrainedOn(dataset="parts"))}
    again = evaluate([found], [dataset], metrics=("image_ap",), resume=True)
    assert [cell.metrics for cell in again.cells] == [cell.metrics for cell in first.cells]
    assert [cell.timings for cell in again.cells] == [cell.timings for cell in first.cells]
    assert summary(again)["gear"]["contaminated"] == "true"
    assert "contaminated" in (again.folder / "report.html").read_text()
