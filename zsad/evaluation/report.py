"""A self-contained page of an evaluation: the table, the worst and best cases, what stands behind them."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from zsad.evaluation.results import CaseKind, CaseResult, CellResult
from zsad.evaluation.robustness import HEIGHT, WIDTH, Change, changes, curves
from zsad.evaluation.store import ResultStore
from zsad.evaluation.summary import SummaryRow, cell_row, metric_names, summary_rows, telling
from zsad.files import write_text

FILE = "report.html"
CASE_KINDS: dict[CaseKind, str] = {
    "worst": "Defects found worst",
    "false alarm": "Normal images with the highest scores",
    "best": "Defects found best",
}
CASES_SHOWN = 3
"""Cases of each kind per method and dataset; the cells hold more."""
TITLES = {
    "image_auroc": "image AUROC",
    "image_ap": "image AP",
    "image_f1_max": "image F1-max*",
    "pixel_auroc": "pixel AUROC",
    "pixel_ap": "pixel AP",
    "pixel_f1_max": "pixel F1-max*",
    "aupro": "AUPRO@0.3",
}

NONE: Mapping[str, float] = {}
NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True)
class ShownRow:
    """A line of the page's table.

    Attributes:
        row: The line.
        figures: Its figures as text; an undefined one says why.
        left_out: Contaminated classes that do not count in it.
        told_by: What tells it from lines of the same method, dataset and class, or empty.
    """

    row: SummaryRow
    figures: list[str]
    left_out: int
    told_by: str


@dataclass(frozen=True)
class ShownCase:
    """A case with its pictures.

    Attributes:
        case: The case.
        name: Name of the image file.
        pictures: The pictures as data URIs, by what they are.
    """

    case: CaseResult
    name: str
    pictures: dict[str, str]


@dataclass(frozen=True)
class Gallery:
    """The cases of a method on a dataset.

    Attributes:
        dataset: Name of the dataset, with what was done to its images.
        method: Name of the method.
        cases: The cases by kind.
    """

    dataset: str
    method: str
    cases: dict[CaseKind, list[ShownCase]]


def write_report(folder: Path) -> Path:
    """Write report.html into the folder of an evaluation; it shows the cells that are finished.

    Returns:
        The file.

    Raises:
        InputError: The folder holds no evaluation, or some of it is not readable.
    """
    from jinja2 import Environment, PackageLoader

    store = ResultStore(folder)
    run, cells = store.read_results()
    rows = summary_rows(cells, contaminated=run.include_contaminated)
    names, columns = metric_names(rows), telling(rows)
    changed = changes(rows)
    environment = Environment(loader=PackageLoader("zsad.evaluation"), autoescape=True)
    page = environment.get_template("report.html.j2").render(
        run=run,
        titles=[TITLES.get(name, name.replace("_", " ")) for name in names],
        means=[_shown(row, names, columns, cells) for row in rows if row.is_mean],
        classes=[_shown(row, names, columns, cells) for row in rows if not row.is_mean],
        every_class=len({row.class_name for row in rows}) > 2 or any(row.contaminated for row in rows),
        failed=[failure for cell in _first_of_each_class(cells) for failure in cell.failed],
        unanswered=[cell for cell in cells if cell.error is not None],
        galleries=_galleries(cells, store),
        kinds=CASE_KINDS,
        changes=[_changed(each, names) for each in changed],
        curves=curves(changed, TITLES),
        curve_size=(WIDTH, HEIGHT),
    )
    write_text(folder / FILE, page)
    return folder / FILE


def _shown(
    row: SummaryRow, names: Sequence[str], columns: Sequence[str], cells: Sequence[CellResult]
) -> ShownRow:
    group = [cell for cell in cells if cell_row(cell).group == row.group]
    own = [cell for cell in group if row.is_mean or row.class_name == cell.class_name]
    reasons: dict[str, str] = {}
    for cell in own:
        reasons |= cell.undefined
    counted = [cell for cell in own if row.contaminated or not cell.contaminated_by]
    thresholds = own[0].thresholds if len(own) == 1 else {}
    told_by = ", ".join(f"{column.replace('_', ' ')} {getattr(row, column)}" for column in columns)
    return ShownRow(row, figures(row, names, reasons, thresholds), len(own) - len(counted), told_by)


def _changed(each: Change, names: Sequence[str]) -> tuple[SummaryRow, list[str]]:
    """Return the row of a change, and its figures in per cent with what they lost or won."""
    found = []
    for name, figure in zip(names, figures(each.row, names, NOTHING), strict=True):
        change = each.change(name)
        found.append(figure if change is None else f"{figure} ({100 * change:+.1f})")
    return each.row, found


def figures(
    row: SummaryRow, names: Sequence[str], reasons: Mapping[str, str], thresholds: Mapping[str, float] = NONE
) -> list[str]:
    """Return the figures of a row in per cent, or in the place of an undefined one its reason.

    Args:
        row: The row.
        names: Names of the metrics.
        reasons: Why a metric is undefined, by its name.
        thresholds: Where a figure is that of one threshold, by its name.
    """
    found = []
    for name in names:
        value = row.metrics.get(name)
        at = f" at {thresholds[name]:.4g}" if name in thresholds else ""
        found.append(reasons.get(name, "") if value is None else f"{100 * value:.1f}{at}")
    return found


def _first_of_each_class(cells: Sequence[CellResult]) -> list[CellResult]:
    """Return one cell per class: an unreadable image is the same for every method."""
    found: dict[tuple[str, str], CellResult] = {}
    for cell in cells:
        found.setdefault((cell.dataset.name, cell.class_name), cell)
    return list(found.values())


def _galleries(cells: Sequence[CellResult], store: ResultStore) -> list[Gallery]:
    """Return the cases by dataset and method, each kind with its few, taken from the classes in turn."""
    groups: dict[tuple[str, str], list[CellResult]] = {}
    for cell in cells:
        name = cell.dataset.name if cell.corruption is None else f"{cell.dataset.name}, {cell.corruption}"
        groups.setdefault((name, cell.method), []).append(cell)
    return [
        Gallery(
            dataset,
            method,
            {
                kind: [_case(case, store) for case in _in_turn(members, kind)[:CASES_SHOWN]]
                for kind in CASE_KINDS
            },
        )
        for (dataset, method), members in groups.items()
    ]


def _in_turn(cells: Sequence[CellResult], kind: CaseKind) -> list[CaseResult]:
    """Return the cells' cases of a kind: the first of every cell, then the second ones."""
    lists = [[case for case in cell.cases if case.kind == kind] for cell in cells]
    longest = max(map(len, lists), default=0)
    return [cases[place] for place in range(longest) for cases in lists if place < len(cases)]


def _case(case: CaseResult, store: ResultStore) -> ShownCase:
    pictures = {
        name: "data:image/jpeg;base64," + base64.b64encode(store.picture(file).read_bytes()).decode()
        for name, file in case.pictures
        if name != "truth" or case.masked
    }
    return ShownCase(case, Path(case.image).name, pictures)
