"""The table of an evaluation: a row per cell, and the unweighted class mean per method and dataset."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zsad.files import write_text

FILE = "summary.csv"
MEAN = "mean"
"""The ``class`` of a mean row."""

COLUMNS = (
    "method",
    "backbone",
    "weights",
    "weights_origin",
    "dataset",
    "class",
    "setting",
    "fidelity",
    "contaminated",
    "image_size",
    "shots",
    "seed",
    "recipe_hash",
    "n_normal",
    "n_anomalous",
)
STANDARD_METRICS = (
    "image_auroc",
    "image_ap",
    "image_f1_max",
    "pixel_auroc",
    "pixel_ap",
    "pixel_f1_max",
    "aupro",
)
"""Their columns are always there; further metrics follow."""

GROUP = ("method", "backbone", "weights", "dataset")


def summary_rows(cells: Sequence[Mapping[str, Any]], *, contaminated: bool = False) -> list[dict[str, Any]]:
    """Return the rows of the table, cells in the order given, each group followed by its mean.

    Args:
        cells: Finished cells.
        contaminated: Whether cells whose images were seen in training count in means.
    """
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for cell in cells:
        row = cell_row(cell)
        groups.setdefault(tuple(row[name] for name in GROUP), []).append(row)
    rows = []
    for members in groups.values():
        rows += [*members, mean_row(members, contaminated=contaminated)]
    return rows


def cell_row(cell: Mapping[str, Any]) -> dict[str, Any]:
    """Return a finished cell as a row."""
    return {
        "method": cell["method"],
        "backbone": cell["backbone"]["name"],
        "weights": cell["weights"]["name"],
        "weights_origin": cell["weights"]["origin"],
        "dataset": cell["dataset"]["name"],
        "class": cell["class"],
        "setting": cell["setting"],
        "fidelity": cell["fidelity"],
        "contaminated": bool(cell["contaminated_by"]),
        "image_size": cell["image_size"],
        "shots": cell["shots"],
        "seed": cell["seed"],
        "recipe_hash": cell["recipe_hash"],
        "n_normal": cell["n_normal"],
        "n_anomalous": cell["n_anomalous"],
    } | dict(cell["metrics"])


def mean_row(rows: Sequence[Mapping[str, Any]], *, contaminated: bool) -> dict[str, Any]:
    """Return the unweighted mean of a group's classes; a figure that no class defines stays empty."""
    kept = [row for row in rows if contaminated or not row["contaminated"]]
    shared = {
        name: rows[0][name] if all(row[name] == rows[0][name] for row in rows) else None
        for name in ("setting", "fidelity", "image_size", "shots", "seed", "recipe_hash", "weights_origin")
    }
    mean: dict[str, Any] = {name: rows[0][name] for name in GROUP} | shared
    mean |= {
        "class": MEAN,
        "contaminated": any(row["contaminated"] for row in kept),
        "n_normal": sum(row["n_normal"] for row in kept),
        "n_anomalous": sum(row["n_anomalous"] for row in kept),
    }
    for name in metric_names(rows):
        values = [row[name] for row in kept if row.get(name) is not None]
        mean[name] = sum(values) / len(values) if values else None
    return mean


def metric_names(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the columns of figures: the standard ones, then any further ones in order of appearance."""
    further = [name for row in rows for name in row if name not in (*COLUMNS, *STANDARD_METRICS)]
    return [*STANDARD_METRICS, *dict.fromkeys(further)]


def write_summary(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write summary.csv: fractions 0..1 in full precision, empty where undefined."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [*COLUMNS, *metric_names(rows)], restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _text(value) for name, value in row.items()})
    write_text(folder / FILE, stream.getvalue())


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else value
