"""The folder of an evaluation: what is in it, and what is not when something goes wrong."""

from __future__ import annotations

import csv
import errno
import json
import os
from dataclasses import replace
from html.parser import HTMLParser

import pyarrow.parquet as pq
import pytest
from PIL import Image

from zsad.errors import InputError, ZsadError
from zsad.evaluation.report import write_report
from zsad.evaluation.sheet import write_sheet
from zsad.evaluation.store import ResultStore
from zsad.evaluation.summary import SummaryRow, mean_row, summary_rows

HEADER = (
    "method,backbone,weights,weights_origin,dataset,class,setting,fidelity,contaminated,image_size,shots,seed,"
    "recipe_hash,n_normal,n_anomalous,image_auroc,image_ap,image_f1_max,pixel_auroc,pixel_ap,pixel_f1_max,aupro"
)


class Page(HTMLParser):
    """What a page refers to and shows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.references += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]
        if tag not in ("meta", "img", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_files_of_an_evaluation(evaluate, detector, dataset) -> None:
    run = evaluate([detector("clip-baseline"), detector("fake-musc")], [dataset],
                   metrics=("image_auroc", "aupro", "aupro_legacy200"))  # fmt: skip
    facts = json.loads((run.folder / "run.json").read_text())
    assert facts["complete"] and len(facts["cells"]) == 4
    assert set(facts["methods"]) == {"clip-baseline", "fake-musc"}
    assert facts["datasets"]["parts"]["manifest_hash"] == dataset.manifest_hash
    assert facts["environment"]["threads"] >= 1 and facts["environment"]["plugins"]
    for key in facts["cells"]:
        cell = json.loads((run.folder / "cells" / f"{key}.json").read_text())
        assert cell["key"] == key and set(cell["metrics"]) == {"image_auroc", "aupro", "aupro_legacy200"}
        assert pq.read_table(run.folder / "cells" / f"{key}.parquet").num_rows == 6
        assert {case["kind"] for case in cell["cases"]} == {"best", "worst", "false alarm"}
        for case in cell["cases"]:
            for name in case["pictures"].values():
                assert Image.open(run.folder / "cells" / name).size == (256, 256)
    images = pq.read_table(run.folder / "per_image.parquet").to_pylist()
    assert len(images) == 24 and {row["cell"] for row in images} == set(facts["cells"])
    lines = (run.folder / "summary.csv").read_text().splitlines()
    assert lines[0] == f"{HEADER},aupro_legacy200"
    rows = list(csv.DictReader(lines))
    assert [row["class"] for row in rows] == ["gear", "screw", "mean"] * 2
    for low in (0, 3):
        one, other, mean = rows[low : low + 3]
        for name in ("image_auroc", "aupro", "aupro_legacy200"):
            assert float(mean[name]) == (float(one[name]) + float(other[name])) / 2
            assert 0 <= float(one[name]) <= 1
        assert mean["n_normal"] == "6" and mean["image_ap"] == one["pixel_auroc"] == ""
    assert not list(run.folder.rglob("*.tmp"))
    assert Image.open(write_sheet(run.folder, "fake-musc")).width > 1000


def test_the_page_stands_alone_and_escapes_names(evaluate, detector, dataset) -> None:
    odd = replace(dataset, name="<b>a&b</b>")
    run = evaluate([detector("clip-baseline")], [odd])
    text = (run.folder / "report.html").read_text()
    page = Page(text)
    assert not page.open and page.references
    assert all(reference.startswith("data:image/") for reference in page.references)
    assert "http://" not in text and "https://" not in text and "url(" not in text
    assert "&lt;b&gt;a&amp;b&lt;/b&gt;" in text and odd.name not in text


def test_a_mean_leaves_out_what_is_undefined() -> None:
    shared = dict.fromkeys(HEADER.partition(",image_auroc")[0].split(","), "x")
    numbers = {"contaminated": False, "image_size": 64, "shots": 0, "n_normal": 1, "n_anomalous": 2}
    rows = [
        SummaryRow(**{**shared, **numbers, "class": name, "seed": seed, "metrics": {"image_auroc": value}})
        for seed, (name, value) in enumerate((("a", 0.5), ("b", None), ("c", 1.0)))
    ]
    mean = mean_row(rows, contaminated=False)
    assert mean.metrics["image_auroc"] == 0.75 and mean.n_anomalous == 6 and "aupro" not in mean.metrics
    assert mean.is_mean and (mean.method, mean.recipe_hash, mean.image_size, mean.seed) == (
        "x",
        "x",
        64,
        None,
    )
    assert list(mean.columns()) == [*HEADER.split(","), "corruption"]
    told = mean.model_copy(update={"dtype": "float32", "resolution": "native"})
    assert list(told.columns()) == [*HEADER.split(","), "dtype", "resolution", "corruption"]
    assert summary_rows([]) == []


def test_a_folder_that_holds_a_run_is_refused(evaluate, detector, dataset, tmp_path) -> None:
    evaluate([detector("clip-baseline")], [dataset], metrics=("image_ap",))
    with pytest.raises(InputError, match=r"--out .*run holds a run already; add --resume"):
        evaluate([detector("clip-baseline")], [dataset])
    ours, theirs = tmp_path / "run" / ("." + "0" * 16 + ".tmp"), tmp_path / "run" / ".theirs.tmp"
    deeper = tmp_path / "run" / "a" / "b" / ours.name
    for path in (ours, theirs, deeper):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    ResultStore(tmp_path / "run").open(resume=True)
    assert not ours.exists() and theirs.exists() and deeper.exists()


def test_other_options_give_other_cells(evaluate, detector, dataset) -> None:
    first = evaluate([detector("clip-baseline")], [dataset])
    for options, rules in (
        ({"image_size": 80}, {}),
        ({}, {"seed": 1}),
        ({}, {"resolution": "native"}),
        ({}, {"metrics": ("image_ap",)}),
    ):
        again = evaluate([detector("clip-baseline", **options)], [dataset], resume=True, **rules)
        keys = {cell.key for cell in again.cells}
        assert len(keys) == 2 and keys.isdisjoint(cell.key for cell in first.cells)


def test_one_folder_under_two_names_has_cells_of_its_own(evaluate, detector, dataset) -> None:
    both = [replace(dataset, name="one"), replace(dataset, name="other")]
    run = evaluate([detector("clip-baseline")], both, metrics=("image_ap",))
    assert [(cell.dataset.name, cell.class_name) for cell in run.cells] == [
        (name, class_name) for name in ("one", "other") for class_name in dataset.classes
    ]
    with pytest.raises(InputError, match="--data: 'one' was given twice; name one of them: NAME:SPEC"):
        evaluate([detector("clip-baseline")], [both[0], both[0]], out="twice")


def test_a_full_disk_leaves_finished_cells_and_nothing_half_written(
    evaluate, detector, dataset, tmp_path, monkeypatch
) -> None:
    replaced, cells, folder = os.replace, [], tmp_path / "run"

    def full(source, target, **options):
        if target.parent.name == "cells" and target.suffix == ".json":
            cells.append(target)
        if len(cells) > 1:  # from the second cell on, nothing can be written any more
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replaced(source, target, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(ZsadError, match=r"^cannot write .*: no space left"):
            evaluate([detector("clip-baseline")], [dataset])
    assert not list(folder.rglob("*.tmp"))
    (kept,) = (folder / "cells").glob("*.json")
    assert json.loads(kept.read_text())["class"] == "gear"
    assert json.loads((folder / "run.json").read_text())["complete"] is False
    before = kept.read_bytes()
    again = evaluate([detector("clip-baseline")], [dataset], resume=True)
    assert [cell.class_name for cell in again.cells] == ["gear", "screw"] and kept.read_bytes() == before


def test_a_cell_that_lacks_its_rows_runs_again(evaluate, detector, dataset) -> None:
    run = evaluate([detector("clip-baseline")], [dataset], metrics=("image_ap",))
    (run.folder / "cells" / f"{run.cells[0].key}.parquet").unlink()
    again = evaluate([detector("clip-baseline")], [dataset], metrics=("image_ap",), resume=True)
    assert pq.read_table(again.folder / "per_image.parquet").num_rows == 12


def test_a_report_needs_a_run(tmp_path) -> None:
    with pytest.raises(InputError, match="name the folder that 'zsad eval' wrote"):
        write_report(tmp_path)


def test_rows_and_pictures_that_are_not_ours_are_named(evaluate, detector, dataset) -> None:
    run = evaluate([detector("clip-baseline")], [dataset], metrics=("image_ap",))
    store, cells = run.evaluation.store, run.folder / "cells"
    assert [row.place for row in store.read_images()] == [*range(6), *range(6)]
    rows = cells / f"{run.cells[0].key}.parquet"
    pq.write_table(pq.read_table(rows).drop_columns("place"), rows)
    with pytest.raises(InputError, match=rf"{rows.name} is damaged.*other columns.*delete it and evaluate"):
        store.write_images([run.cells[0].key])
    rows.write_bytes(b"PAR1 no")
    with pytest.raises(InputError, match=rf"{rows.name} is damaged"):
        store.write_images([run.cells[0].key])
    with pytest.raises(InputError, match="outside of its folder"):
        store.picture("../run.json")
    gone = store.picture(run.cells[0].cases[-1].pictures.overlay)
    gone.unlink()
    for write in (write_report, lambda folder: write_sheet(folder, "clip-baseline")):
        with pytest.raises(
            InputError, match=rf"cannot read .*: the picture is gone; delete {gone.parent}.json"
        ):
            write(run.folder)


ODD_METRICS = """
from zsad.plugin.hookspecs import hookimpl
import numpy as np
from zsad.metrics import CurveMetric
from zsad.plugin.specs import MetricSpec
zsad_api = 1

nan = lambda: CurveMetric("image", lambda curve: float("nan"))
raises = lambda: CurveMetric("pixel", lambda curve: [][1])
late = lambda: CurveMetric("image", lambda curve: 0.5, lambda curve: {}["at"])
count = lambda: CurveMetric("image", lambda curve: np.float32(0.25))
def words(): return CurveMetric("image", lambda curve: "much")
def none(): return lambda state: 1.0
def level():
    return CurveMetric("video", lambda curve: 1.0)
def fails(): raise KeyError("missing")

@hookimpl
def zsad_metrics():
    for name in ("nan", "raises", "late", "count", "words", "none", "level", "fails"):
        yield MetricSpec(name, f"acme_metric:{name}", name)
"""


@pytest.fixture
def odd_metrics(site, host):
    """The site with metrics that fail, each in its way."""
    from zsad.plugin.host import get_host

    site.install("acme", {"acme_metric.py": ODD_METRICS}, {"acme": "acme_metric"})
    return get_host()


def test_a_metric_that_gives_no_number_costs_its_figures(evaluate, detector, dataset, odd_metrics) -> None:
    from zsad.evaluation.session import _metric

    found = evaluate([detector("clip-baseline")], [dataset], metrics=("image_ap",))
    names = ("nan", "image_ap", "raises", "late", "words", "count")
    metrics = {name: _metric(odd_metrics, name) for name in names}
    store = ResultStore(found.folder.parent / "odd")
    store.open(resume=False)
    cells = [
        cell
        for step in replace(found.evaluation, metrics=metrics, store=store).run({})
        for cell in step.cells
    ]
    assert len(cells) == 2
    for cell, plain in zip(cells, found.cells, strict=True):
        assert cell.error is None
        assert cell.metrics["image_ap"] == plain.metrics["image_ap"]
        assert cell.metrics["count"] == 0.25 and type(cell.metrics["count"]) is float
        assert cell.failed_metrics == {
            "nan": "it gave nan; a figure without a value has to be said with UndefinedMetricError",
            "raises": "IndexError: list index out of range",
            "late": "KeyError: 'at'",
            "words": "ValueError: could not convert string to float: 'much'",
        }
        assert {name for name, value in cell.metrics.items() if value is None} >= {"nan", "raises", "words"}
        assert store.finished(cell) is None  # computed again, once the metric is mended
    assert "failed: IndexError" in (store.folder / "report.html").read_text()
    assert found.evaluation.store.finished(found.cells[0]) == found.cells[0]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("none", "what its factory builds is no metric; that has compute.state., and the level 'image' or"),
        ("level", "what its factory builds is no metric"),
        ("fails", "KeyError: 'missing'"),
    ],
)
def test_what_is_no_metric_is_refused_by_name(odd_metrics, name, said) -> None:
    from zsad.evaluation.session import _metric

    with pytest.raises(InputError, match=f"--metrics {name}: {said}"):
        _metric(odd_metrics, name)
