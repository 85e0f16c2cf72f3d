"""Cells whose images a backbone or weights saw in training."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace

import pytest

from tests.evaluation.drawing import draw
from zsad.backbones.card import TrainedOn
from zsad.data.spec import open_dataset
from zsad.evaluation.contamination import saw
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


def marks(dataset) -> tuple[str, ...]:
    return tuple(sorted(dataset.content_marks))


def contaminated(evaluate, found, dataset, entry, out) -> list[str]:
    found.cards = {"scorer": card(entry)}
    run = evaluate([found], [dataset], out=out, metrics=("image_ap",))
    return [cell.class_name for cell in run.cells if cell.contaminated_by]


def test_images_are_known_by_their_content_and_not_by_a_folders_name(
    evaluate, detector, host, dataset, tmp_path
) -> None:
    found = detector("clip-baseline")
    moved = tmp_path / "quite other"
    shutil.copytree(dataset.root / "gear", moved / "wheel")
    again = open_dataset(f"folder={moved}", host)
    seen = TrainedOn(dataset="parts", classes=dataset.classes, manifest="0" * 64, images=marks(dataset))
    assert contaminated(evaluate, found, again, seen, "moved") == ["wheel"]
    draw(tmp_path / "new" / "parts", ["gear"], seed=7)
    fresh = open_dataset(f"folder={tmp_path / 'new' / 'parts'}", host)
    assert fresh.name == "parts" and fresh.content_marks.isdisjoint(seen.images)
    assert contaminated(evaluate, found, fresh, seen, "fresh") == []
    one = seen.model_copy(update={"images": marks(dataset.restricted_to(["screw"]))})
    assert contaminated(evaluate, found, dataset, one, "one") == ["screw"]


@pytest.mark.parametrize("trained_on", ["mvtec", "MVTec AD", "mvtec_anomaly_detection"])
@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("mvtec={root}/mvtec", ["bottle", "own"]),
        ("mvtec={root}/mvtec_anomaly_detection", ["bottle", "own"]),
        ("mvtec={root}/renamed", ["bottle"]),
        ("other:mvtec={root}/renamed", ["bottle"]),
        ("folder={root}/mvtec-ad/bottle/test", ["test"]),
        ("folder={root}/renamed/bottle/test", []),
    ],
)
def test_what_people_name_is_known_by_aliases_layout_and_classes(
    detector, host, tmp_path, trained_on, spec, expected
) -> None:
    for folder in ("mvtec", "mvtec_anomaly_detection", "renamed", "mvtec-ad"):
        for name in ("bottle", "own"):
            draw(tmp_path / "drawn", [name])
            shutil.copytree(tmp_path / "drawn" / name / "good", tmp_path / folder / name / "test" / "good")
            shutil.copytree(tmp_path / "drawn" / name / "scratch", tmp_path / folder / name / "test" / "bad")
    dataset = open_dataset(spec.format(root=tmp_path), host)
    entry = TrainedOn(dataset=trained_on)
    if "folder=" in spec:
        dataset = replace(dataset, images=tuple(replace(i, class_name="bottle") for i in dataset.images))
        expected = ["bottle"] if expected else []
    seen = [name for name in dataset.classes if saw(entry, dataset.restricted_to([name]), dataset)]
    assert seen == expected
    other = TrainedOn(dataset="visa")
    assert not any(saw(other, dataset.restricted_to([name]), dataset) for name in dataset.classes)


def test_a_published_set_in_another_layout_is_known_by_most_of_its_classes(host, tmp_path) -> None:
    named = host.datasets.get("mvtec").spec.classes
    for count, expected in ((8, True), (7, False)):
        classes = [*named[:count], "own"]
        dataset = open_dataset(f"folder={draw(tmp_path / str(count), classes)}", host)
        seen = [
            name
            for name in classes
            if saw(TrainedOn(dataset="mvtec"), dataset.restricted_to([name]), dataset)
        ]
        assert seen == (list(named[:count]) if expected else [])


def test_cards_of_before_are_read() -> None:
    entry = TrainedOn.model_validate({"dataset": "parts", "classes": ["gear"], "manifest": None})
    assert entry.images is None and hash(entry) == hash(TrainedOn(dataset="parts", classes=("gear",)))
