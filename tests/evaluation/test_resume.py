"""A folder that is evaluated into again: it gains and never loses, and what is damaged is made again."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.evaluation.drawing import draw
from zsad.data.spec import open_dataset
from zsad.evaluation.markdown import write_markdown
from zsad.evaluation.store import ResultStore
from zsad.evaluation.summary import summary_rows, telling, write_summary

AP = ("image_ap",)


def table(folder: Path) -> list[tuple[str, str, str]]:
    with (folder / "summary.csv").open(newline="") as stream:
        return [(row["method"], row["dataset"], row["class"]) for row in csv.DictReader(stream)]


def figures(folder: Path, metric: str) -> dict[tuple[str, str, str], str]:
    with (folder / "summary.csv").open(newline="") as stream:
        return {(row["method"], row["dataset"], row["class"]): row[metric] for row in csv.DictReader(stream)}


def files(folder: Path) -> dict[str, bytes]:
    cells = folder / "cells"
    return {str(path.relative_to(cells)): path.read_bytes() for path in cells.rglob("*") if path.is_file()}


def rows_of(method: str, dataset: str = "parts") -> list[tuple[str, str, str]]:
    return [(method, dataset, name) for name in ("gear", "screw", "mean")]


def test_another_method_comes_beside_the_first(evaluate, detector, dataset) -> None:
    first = evaluate([detector("clip-baseline")], [dataset], metrics=AP)
    before = files(first.folder)
    run = evaluate([detector("clip-baseline@vv")], [dataset], metrics=AP, resume=True)
    assert table(run.folder) == rows_of("clip-baseline") + rows_of("clip-baseline@vv")
    assert [cell.method for cell in run.cells] == ["clip-baseline@vv"] * 2
    assert {name: content for name, content in files(run.folder).items() if name in before} == before
    info, cells = ResultStore(run.folder).read_results()
    assert info.complete and list(info.methods) == ["clip-baseline", "clip-baseline@vv"] and info.passes == 24
    assert [cell.key for cell in cells] == list(info.cells) == [cell.key for cell in first.cells + run.cells]
    assert info.former == ({},)
    assert len(ResultStore(run.folder).read_images()) == 24
    assert "clip-baseline@vv" in (run.folder / "report.html").read_text()
    both = evaluate(
        [detector("clip-baseline"), detector("clip-baseline@vv")], [dataset], metrics=AP, resume=True
    )
    assert len(both.cells) == 4 and both.evaluation.store.read_run().former == ()
    assert {name: content for name, content in files(run.folder).items() if name in before} == before


def test_other_data_and_classes_come_beside_the_first(evaluate, detector, dataset) -> None:
    found = detector("clip-baseline")
    evaluate([found], [dataset.restricted_to(["gear"])], metrics=AP)
    evaluate([found], [dataset.restricted_to(["screw"])], metrics=AP, resume=True)
    run = evaluate([found], [replace(dataset, name="other")], metrics=AP, resume=True)
    assert table(run.folder) == rows_of("clip-baseline") + rows_of("clip-baseline", "other")
    values = figures(run.folder, "image_ap")
    gear, screw, mean = (float(values["clip-baseline", "parts", name]) for name in ("gear", "screw", "mean"))
    assert mean == (gear + screw) / 2
    info = run.evaluation.store.read_run()
    assert {name.partition(" (")[0] for name in info.datasets} == {"parts", "other"}
    assert [set(known.classes) for known in info.datasets.values()] == [
        {"gear"},
        {"screw"},
        {"gear", "screw"},
    ]


def test_other_metrics_are_further_columns(evaluate, detector, dataset) -> None:
    found = detector("clip-baseline")
    evaluate([found], [dataset], metrics=AP)
    run = evaluate([found], [dataset], metrics=("image_auroc", "pixel_ap"), resume=True)
    whole = evaluate([found], [dataset], metrics=("image_ap", "image_auroc", "pixel_ap"), out="whole")
    assert (run.folder / "summary.csv").read_bytes() == (whole.folder / "summary.csv").read_bytes()
    _, cells = ResultStore(run.folder).read_results()
    assert [set(cell.metrics) for cell in cells] == [{"image_ap", "image_auroc", "pixel_ap"}] * 2
    rows = ResultStore(run.folder).read_images()  # not once for each list of metrics
    assert [row.place for row in rows] == [*range(6), *range(6)]
    assert {row.cell for row in rows} == {cell.key for cell in cells}


def test_other_options_are_rows_of_their_own(evaluate, detector, dataset) -> None:
    evaluate([detector("clip-baseline")], [dataset], metrics=AP)
    run = evaluate([detector("clip-baseline", image_size=80)], [dataset], metrics=AP, resume=True)
    assert table(run.folder) == rows_of("clip-baseline") * 2
    evaluate([detector("clip-baseline")], [dataset], metrics=AP, resolution="native", resume=True)
    rows = summary_rows(ResultStore(run.folder).read_results()[1])
    assert [row.image_size for row in rows] == [64] * 3 + [80] * 3 + [64] * 3
    assert [row.resolution for row in rows] == ["image-size"] * 6 + ["native"] * 3
    assert telling(rows) == ("image_size", "resolution") and telling(rows[:3]) == ()
    with (run.folder / "summary.csv").open(newline="") as stream:
        written = list(csv.DictReader(stream))
    assert list(written[0])[-2:] == ["aupro", "resolution"]
    assert [row["resolution"] for row in written] == [row.resolution for row in rows]
    page = (run.folder / "report.html").read_text()
    for told in ("image size 80, resolution image-size", "image size 64, resolution native"):
        assert page.count(told) == 3
    assert len({row.group for row in rows}) == 3
    header = write_markdown(run.folder).read_text().splitlines()[2]
    assert header.startswith("| image AP |")  # and no table of dashes for what was not measured
    labels = [f"image size {row.image_size}, resolution {row.resolution}" for row in rows if row.is_mean]
    assert header == f"| image AP | {' | '.join(f'clip-baseline ({label})' for label in labels)} |"


def test_rows_that_differ_in_precision_say_so(evaluate, detector, dataset) -> None:
    run = evaluate([detector("clip-baseline")], [dataset], metrics=AP)
    before = (run.folder / "summary.csv").read_text()
    assert "dtype" not in before
    others = [cell.model_copy(update={"dtype": "bfloat16"}) for cell in run.cells]
    write_summary(run.folder, rows := summary_rows([*run.cells, *others]))
    assert telling(rows) == ("dtype",)
    after = (run.folder / "summary.csv").read_text().splitlines()
    assert after[0] == f"{before.splitlines()[0]},dtype"
    assert [line.rpartition(",")[2] for line in after[1:]] == ["float32"] * 3 + ["bfloat16"] * 3


@pytest.mark.parametrize("place", [70_000, -1])
def test_a_file_that_changed_in_its_middle_is_measured_again(
    evaluate, detector, host, tmp_path, place
) -> None:
    root = draw(tmp_path / "parts", size=(300, 400))
    for path in [*root.rglob("good/*.png"), *root.rglob("scratch/*.png")]:
        if "masks" not in path.parts:
            _as_bmp(path)
    found = detector("clip-baseline")
    first = evaluate([found], [open_dataset(f"folder={root}", host)], metrics=AP)
    file = root / "gear" / "good" / "1.bmp"
    held = bytearray(file.read_bytes())
    assert len(held) > 3 * 65536
    held[place if place > 0 else len(held) // 2] ^= 0xFF
    held[len(held) // 2 : len(held) // 2 + 90_000] = bytes(90_000)
    file.write_bytes(held)
    run = evaluate([found], [open_dataset(f"folder={root}", host)], metrics=AP, resume=True)
    fresh = evaluate([found], [open_dataset(f"folder={root}", host)], metrics=AP, out="fresh")
    assert run.cell("clip-baseline", "gear").key != first.cell("clip-baseline", "gear").key
    assert run.cell("clip-baseline", "screw") == first.cell("clip-baseline", "screw")
    assert sorted(table(run.folder)) == sorted(table(fresh.folder))
    assert figures(run.folder, "image_ap") == figures(fresh.folder, "image_ap")


def _as_bmp(path: Path) -> None:
    from PIL import Image

    Image.open(path).save(path.with_suffix(".bmp"))
    path.unlink()


def test_what_changed_is_said(evaluate, detector, dataset) -> None:
    found = detector("clip-baseline")
    evaluate([found], [dataset], metrics=AP)
    first = dataset.images[0].image
    first.write_bytes(dataset.images[1].image.read_bytes())
    changed = replace(dataset)
    run = evaluate([found], [changed], metrics=AP, resume=True)
    assert run.notes == [
        "clip-baseline on parts (gear) was measured on other files or weights: that row leaves the table for "
        "the one of now"
    ]


DAMAGE = {
    "truncated": ("{key}.json", lambda path: path.write_bytes(path.read_bytes()[:100])),
    "empty object": ("{key}.json", lambda path: path.write_text("{}")),
    "no text": ("{key}.json", lambda path: path.write_bytes(b"\xff\xfe\x00")),
    "empty": ("{key}.json", lambda path: path.write_bytes(b"")),
    "bad rows": ("{key}.parquet", lambda path: path.write_bytes(b"PAR1 no")),
    "cut rows": ("{key}.parquet", lambda path: path.write_bytes(path.read_bytes()[:-30])),
    "gone picture": ("{key}/1-map.jpg", lambda path: path.unlink()),
    "cut picture": ("{key}/2-overlay.jpg", lambda path: path.write_bytes(path.read_bytes()[:500])),
}


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("other", [False, True])
def test_damage_is_set_aside_and_made_again(evaluate, detector, dataset, kind, other) -> None:
    found = detector("clip-baseline")
    run = evaluate([found], [dataset], metrics=AP)
    whole, summary = files(run.folder), (run.folder / "summary.csv").read_bytes()
    name, damage = DAMAGE[kind]
    path = run.folder / "cells" / name.format(key=run.cells[0].key)
    damage(path)
    gone = not path.exists()
    if other:  # of a request that does not ask for the cell: the rest stays
        again = evaluate([detector("clip-baseline@vv")], [dataset], metrics=AP, resume=True)
        assert table(again.folder) == [
            *rows_of("clip-baseline")[1:],
            *rows_of("clip-baseline@vv"),
        ]
        again = evaluate([found, detector("clip-baseline@vv")], [dataset], metrics=AP, resume=True)
        assert table(again.folder) == rows_of("clip-baseline") + rows_of("clip-baseline@vv")
        return
    again = evaluate([found], [dataset], metrics=AP, resume=True)
    (note,) = again.notes
    assert note.startswith(f"{path} is {'gone' if gone else 'damaged'}: ")
    assert path.exists() and path.with_name(f"{path.name}.damaged").exists() is not gone
    assert (again.folder / "summary.csv").read_bytes() == summary
    untouched = {name: held for name, held in whole.items() if run.cells[1].key in name}
    assert {name: files(again.folder)[name] for name in untouched} == untouched
    assert again.cells[0].metrics == run.cells[0].metrics


def test_a_damaged_run_json_costs_no_cell(evaluate, detector, dataset) -> None:
    found = detector("clip-baseline")
    run = evaluate([found], [dataset], metrics=AP)
    before = files(run.folder)
    (run.folder / "run.json").write_text('{"format": 1, "star')
    again = evaluate([detector("clip-baseline@vv")], [dataset], metrics=AP, resume=True)
    assert again.notes[0].startswith(
        f"{run.folder / 'run.json'} is damaged: it is set aside as run.json.damaged"
    )
    assert {name: content for name, content in files(run.folder).items() if name in before} == before
    assert sorted(table(run.folder)) == sorted(rows_of("clip-baseline") + rows_of("clip-baseline@vv"))
    assert json.loads((run.folder / "run.json").read_text())["complete"] is True


def test_an_error_at_once_empties_no_table(evaluate, detector, dataset, monkeypatch) -> None:
    from zsad.evaluation import runner

    run = evaluate([detector("clip-baseline")], [dataset], metrics=AP)
    before = (run.folder / "summary.csv").read_bytes()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "encode_together", interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluate([detector("clip-baseline@vv")], [dataset], metrics=AP, resume=True)
    assert (run.folder / "summary.csv").read_bytes() == before
    assert run.evaluation.store.read_run().complete is False


def test_names_that_are_no_text_are_written_as_escapes(evaluate, detector, host, tmp_path) -> None:
    root = draw(tmp_path / "parts", ["gear"])
    for state in ("good", "scratch"):
        odd = next((root / "gear" / state).iterdir())
        odd.rename(odd.with_name(f"b\udce4d-{odd.name}"))
        mask = root / "gear" / "masks" / state / odd.name
        if mask.exists():
            mask.rename(mask.with_name(f"b\udce4d-{odd.name}"))
    run = evaluate([detector("clip-baseline")], [open_dataset(f"folder={root}", host)])
    assert sum(r"b\udce4d-" in row.image for row in run.evaluation.store.read_images()) == 2
    assert run.cells[0].metrics["pixel_ap"] is not None
    again = evaluate([detector("clip-baseline")], [open_dataset(f"folder={root}", host)], resume=True)
    assert again.cells == run.cells and again.resumed
