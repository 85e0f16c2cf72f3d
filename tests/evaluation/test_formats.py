"""Files of results: of every format that was ever written, and those that cannot be read."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from zsad.errors import InputError
from zsad.evaluation.formats import read_cell, read_run, write_result
from zsad.evaluation.markdown import write_markdown
from zsad.evaluation.report import write_report
from zsad.evaluation.results import FORMAT, CaseResult, FailedImage
from zsad.evaluation.sheet import write_sheet
from zsad.evaluation.store import ResultStore
from zsad.evaluation.summary import summary_rows, write_summary

FIXTURES = Path(__file__).parent / "fixtures"
FORMATS = range(FORMAT + 1)
MEND = "; delete it and evaluate with --resume"
OUT: Any = object()


def fixture(number: int) -> Path:
    return FIXTURES / f"format-{number}"


@pytest.fixture(params=FORMATS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A run of each format."""
    return Path(shutil.copytree(fixture(request.param), tmp_path / "run"))


@pytest.fixture
def newest(tmp_path: Path) -> Path:
    """A run of the present format."""
    return Path(shutil.copytree(fixture(FORMAT), tmp_path / "run"))


def spoilt(path: Path, **fields: Any) -> Path:
    """Change fields of a JSON file, or take them out."""
    found = json.loads(path.read_text()) | fields
    path.write_text(json.dumps({name: value for name, value in found.items() if value is not OUT}))
    return path


def a_cell(folder: Path) -> Path:
    return folder / "cells" / "805d218814388e76.json"


def test_a_run_of_any_format_is_read(folder: Path) -> None:
    run, cells = ResultStore(folder).read_results()
    assert (run.complete, run.passes, list(run.methods)) == (True, 3, ["clip-baseline", "anomalyclip"])
    assert run.options["data"] == ["folder=parts"] and run.options["seed"] == 0
    assert run.datasets["parts"].classes == ("gear", "screw") and run.datasets["parts"].images == 3
    assert run.methods["anomalyclip"].recipe["method"] == "anomalyclip"
    assert run.environment.packages["pillow"] == "12.3.0" and len(run.environment.plugins) == 16
    assert [(cell.method, cell.class_name) for cell in cells] == [
        (method, name) for name in ("gear", "screw") for method in ("clip-baseline", "anomalyclip")
    ]
    _, gear, _, screw = cells
    assert (gear.n_normal, gear.n_anomalous, gear.failed, gear.undefined) == (1, 1, (), {})
    assert gear.metrics["pixel_auroc"] == 0.9921417236328125
    assert (gear.weights.name, gear.weights.origin) == ("embedded", "own")
    assert gear.weights.sha256 == run.methods["anomalyclip"].weights_sha256
    assert gear.weights.parts["prompt_learner"].trained_on == "procedural"
    assert [case.kind for case in gear.cases] == ["worst", "false alarm", "best"]
    assert gear.timings.methods_on_the_pass == 2 and gear.mask_rule == "bilinear>0.5"
    assert screw.n_failed == 1 and screw.failed[0].image.endswith("screw/good/0.png")
    assert screw.metrics["image_auroc"] is None
    assert screw.undefined["image_auroc"] == "undefined: no normal images"


def test_a_run_of_any_format_has_its_table_and_its_pages(folder: Path) -> None:
    run, cells = ResultStore(folder).read_results()
    written = (folder / "summary.csv").read_bytes()
    write_summary(folder, summary_rows(cells, contaminated=run.include_contaminated))
    assert (folder / "summary.csv").read_bytes() == written
    page = write_report(folder).read_text()
    assert page.count("data:image/jpeg;base64,") == 2 * (4 + 3 + 4)  # no truth of the normal image
    assert "99.2" in page and "undefined: no normal images" in page and "screw/good/0.png" in page
    with (folder / "summary.csv").open(newline="") as stream:
        mean = [row for row in csv.DictReader(stream) if row["class"] == "mean"][1]
    table = write_markdown(folder).read_text()
    assert f"| {100 * float(mean['aupro']):.1f} |" in table
    for title in ("image AP", "image F1-max, its threshold tuned on the labels", "pixel F1-max"):
        assert table.count(f"| {title}") == 1
    assert write_sheet(folder, "anomalyclip").stat().st_size > 1000
    rows = ResultStore(folder).read_images()
    assert [row.place for row in rows if row.class_name == "gear"] == [0, 1, 0, 1]
    assert [row.error is None for row in rows if row.class_name == "screw"] == [False, False]


def test_formats_0_and_1_say_the_same() -> None:
    former, present = (ResultStore(fixture(number)).read_results()[1] for number in (0, 1))
    for one, other in zip(former, present, strict=True):
        assert list(one.weights.parts) == list(other.weights.parts)
        assert all(known.origin is known.source is None for known in one.weights.parts.values())
        assert one.thresholds == {} and one.error is other.error is None
        assert set(other.thresholds) == ({"image_f1_max"} if other.metrics["image_f1_max"] else set())
        changed = {"weights": other.weights, "timings": other.timings, "thresholds": other.thresholds}
        assert one.model_copy(update=changed) == other


def test_the_present_format_is_the_one_that_is_written(newest: Path) -> None:
    # A field that comes, goes or changes its name makes another format.
    for path in [newest / "run.json", *(newest / "cells").glob("*.json")]:
        before = path.read_bytes()
        write_result(path, read_run(path) if path.name == "run.json" else read_cell(path))
        assert path.read_bytes() == before, "count FORMAT up, and add a folder to the fixtures"
        assert json.loads(before)["format"] == FORMAT


def test_results_of_a_newer_zsad_are_not_read_and_not_overwritten(newest: Path) -> None:
    sentence = (
        rf"was written by a newer zsad, in format {FORMAT + 1}, and this one reads up to {FORMAT}; update"
    )
    with pytest.raises(InputError, match=rf"{a_cell(newest)} {sentence}"):
        read_cell(spoilt(a_cell(newest), format=FORMAT + 1))
    run = spoilt(newest / "run.json", format=FORMAT + 1, what_comes_next=1)
    before = run.read_bytes()
    with pytest.raises(InputError, match=rf"{run} {sentence}"):
        ResultStore(newest).open(resume=True)
    with pytest.raises(InputError, match=rf"{run} {sentence}"):
        write_report(newest)
    assert run.read_bytes() == before


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "is not readable"),
        ('{"key":', "is not readable"),
        ("[" * 100_000, "is not readable"),
        ("[]", "is damaged, or not of 'zsad eval' (Input should be a valid dictionary"),
        ("{}", "is damaged, or not of 'zsad eval' ("),
        ('{"weights": {"trained_on": 3}}', "is damaged, or not of 'zsad eval' ("),
        ('{"format": "1"}', "is damaged, or not of 'zsad eval' ("),
    ],
)
def test_a_file_of_something_else_is_named(newest: Path, content: str, sentence: str) -> None:
    for path, read in ((a_cell(newest), read_cell), (newest / "run.json", read_run)):
        path.write_text(content)
        with pytest.raises(InputError) as error:
            read(path)
        assert str(error.value).startswith(f"{path} {sentence}") and str(error.value).endswith(MEND)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"metrics": OUT}, "metrics: Field required"),
        ({"n_normal": "3"}, "n_normal: Input should be a valid integer"),
        ({"metrics": {"image_auroc": "0.5"}}, "metrics.image_auroc: Input should be a valid number"),
        ({"note": "mine"}, "note: Extra inputs are not permitted"),
        ({"fidelity": "perfect"}, "fidelity: Input should be 'official-code'"),
        ({"format": 0}, "format: Input should be 2"),
    ],
)
def test_a_wrong_field_is_named(newest: Path, fields: dict[str, Any], problem: str) -> None:
    path = spoilt(a_cell(newest), **fields)
    with pytest.raises(InputError) as error:
        ResultStore(newest).read_results()
    assert str(error.value).startswith(f"{path} is damaged, or not of 'zsad eval' ({problem}")
    assert str(error.value).endswith(MEND)


def test_a_cell_under_the_name_of_another_is_named(newest: Path) -> None:
    other = a_cell(newest).with_stem("0" * 16)
    a_cell(newest).rename(other)
    with pytest.raises(InputError, match=rf"{other} is damaged: it holds the cell {a_cell(newest).stem}"):
        read_cell(other)


def test_a_cell_of_format_0_is_kept_on_resume(evaluate, detector, dataset) -> None:
    found = detector("clip-baseline")
    run = evaluate([found], [dataset], metrics=("image_ap",))
    for cell in run.cells:
        path = run.folder / "cells" / f"{cell.key}.json"
        weights = {"name": "", "origin": "none", "sha256": cell.weights.sha256, "trained_on": {}}
        spoilt(path, format=OUT, weights=weights, thresholds=OUT, error=OUT)
    before = {path: path.read_bytes() for path in (run.folder / "cells").glob("*.json")}
    assert len(before) == 2 and not any(b'"format"' in content for content in before.values())
    again = evaluate([found], [dataset], metrics=("image_ap",), resume=True)
    assert again.cells == run.cells
    assert {path: path.read_bytes() for path in before} == before


def test_names_that_are_no_text_come_back_as_they_were(tmp_path: Path) -> None:
    path, odd = tmp_path / a_cell(tmp_path).name, b"a\xff.png".decode(errors="surrogateescape")
    cell = read_cell(a_cell(fixture(FORMAT)))
    changed = cell.model_copy(update={"failed": (FailedImage(image=odd, error=f"cannot read '{odd}'"),)})
    write_result(path, changed)
    assert read_cell(path).failed[0].image == odd and read_cell(path) == changed


def test_results_are_frozen_and_hold_plain_numbers() -> None:
    cell = read_cell(a_cell(fixture(FORMAT)))
    with pytest.raises(ValidationError, match="frozen"):
        cell.seed = 1
    case = CaseResult(**dict(cell.cases[0]) | {"score": np.float64(0.25)})
    assert type(case.score) is float and case.score == 0.25


def test_reading_needs_no_torch() -> None:
    code = (
        "import sys; from pathlib import Path; from zsad.evaluation.formats import read_run; "
        f"read_run(Path({str(fixture(0) / 'run.json')!r})); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
