"""A self-contained page of an evaluation: the table, the worst and best cases, what stands behind them."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zsad.evaluation.store import ResultStore
from zsad.evaluation.summary import MEAN, metric_names, summary_rows
from zsad.files import write_text

FILE = "report.html"
CASE_KINDS = {
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


def write_report(folder: Path) -> Path:
    """Write report.html into the folder of an evaluation; it shows the cells that are finished.

    Returns:
        The file.

    Raises:
        InputError: The folder holds no evaluation.
    """
    from jinja2 import Environment, PackageLoader

    run, cells = ResultStore(folder).read_results()
    rows = summary_rows(cells, contaminated=run["include_contaminated"])
    names = metric_names(rows)
    environment = Environment(loader=PackageLoader("zsad.evaluation"), autoescape=True)
    page = environment.get_template("report.html.j2").render(
        run=run,
        titles=[TITLES.get(name, name.replace("_", " ")) for name in names],
        means=[_shown(row, names, cells) for row in rows if row["class"] == MEAN],
        classes=[_shown(row, names, cells) for row in rows if row["class"] != MEAN],
        every_class=len({row["class"] for row in rows}) > 2 or any(row["contaminated"] for row in rows),
        failed=[failure for cell in _first_of_each_class(cells) for failure in cell["failed"]],
        galleries=_galleries(cells, folder),
        kinds=CASE_KINDS,
    )
    write_text(folder / FILE, page)
    return folder / FILE


def _shown(
    row: Mapping[str, Any], names: Sequence[str], cells: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return a row with its figures as text; an undefined one says why."""
    group = [cell for cell in cells if cell["method"] == row["method"]
             and cell["dataset"]["name"] == row["dataset"]]  # fmt: skip
    own = [cell for cell in group if row["class"] in (MEAN, cell["class"])]
    reasons: dict[str, str] = {}
    for cell in own:
        reasons |= cell["undefined"]
    figures = [
        f"{100 * row[name]:.1f}" if row.get(name) is not None else reasons.get(name, "") for name in names
    ]
    counted = [cell for cell in own if row["contaminated"] or not cell["contaminated_by"]]
    return {**row, "figures": figures, "left_out": len(own) - len(counted)}


def _first_of_each_class(cells: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return one cell per class: an unreadable image is the same for every method."""
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for cell in cells:
        found.setdefault((cell["dataset"]["name"], cell["class"]), cell)
    return list(found.values())


def _galleries(cells: Sequence[Mapping[str, Any]], folder: Path) -> list[dict[str, Any]]:
    """Return the cases by dataset and method, each kind with its few, taken from the classes in turn."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for cell in cells:
        groups.setdefault((cell["dataset"]["name"], cell["method"]), []).append(cell)
    return [
        {
            "dataset": dataset,
            "method": method,
            "cases": {
                kind: [_case(case, folder) for case in _in_turn(members, kind)[:CASES_SHOWN]]
                for kind in CASE_KINDS
            },
        }
        for (dataset, method), members in groups.items()
    ]


def _in_turn(cells: Sequence[Mapping[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Return the cells' cases of a kind: the first of every cell, then the second ones."""
    lists = [[case for case in cell["cases"] if case["kind"] == kind] for cell in cells]
    longest = max(map(len, lists), default=0)
    return [cases[place] for place in range(longest) for cases in lists if place < len(cases)]


def _case(case: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    pictures = {
        name: "data:image/jpeg;base64," + base64.b64encode((folder / "cells" / file).read_bytes()).decode()
        for name, file in case["pictures"].items()
        if name != "truth" or case["masked"]
    }
    return {**case, "name": Path(case["image"]).name, "pictures": pictures}
