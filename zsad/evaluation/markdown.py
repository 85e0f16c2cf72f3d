"""The table of an evaluation as Markdown, for documents: datasets down, methods across."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from zsad.evaluation.store import ResultStore
from zsad.evaluation.summary import SummaryRow, summary_rows, telling
from zsad.files import write_text

FILE = "summary.md"
SHOWN = {
    "image_auroc": "image AUROC",
    "image_ap": "image AP",
    "image_f1_max": "image F1-max, its threshold tuned on the labels",
    "pixel_auroc": "pixel AUROC",
    "pixel_ap": "pixel AP",
    "pixel_f1_max": "pixel F1-max, its threshold tuned on the labels",
    "aupro": "AUPRO@0.3",
}
UNDEFINED = "–"


def write_markdown(folder: Path) -> Path:
    """Write summary.md into the folder of an evaluation: a table per metric that has a figure, in per cent.

    Returns:
        The file.

    Raises:
        InputError: The folder holds no evaluation.
    """
    run, cells = ResultStore(folder).read_results()
    rows = [row for row in summary_rows(cells, contaminated=run.include_contaminated) if row.is_mean]
    tables = [
        _table(rows, name, title)
        for name, title in SHOWN.items()
        if any(row.metrics.get(name) is not None for row in rows)
    ]
    write_text(folder / FILE, f"    {run.environment.command}\n\n" + "\n".join(tables))
    return folder / FILE


def _table(rows: Sequence[SummaryRow], name: str, title: str) -> str:
    columns = telling(rows)
    methods = list(dict.fromkeys(_label(row, columns) for row in rows))
    datasets = list(dict.fromkeys(row.dataset for row in rows))
    figures = {(row.dataset, _label(row, columns)): row.metrics.get(name) for row in rows}
    lines = [[title, *methods], ["---", *["---:"] * len(methods)]]
    for dataset in datasets:
        lines.append([dataset, *(_text(figures.get((dataset, method))) for method in methods)])
    means = [_mean([figures.get((dataset, method)) for dataset in datasets]) for method in methods]
    lines.append(["**mean**", *map(_text, means)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _label(row: SummaryRow, columns: Sequence[str]) -> str:
    """Return the method, with what tells the row from others of it."""
    told = ", ".join(f"{column.replace('_', ' ')} {getattr(row, column)}" for column in columns)
    return f"{row.method} ({told})" if told else row.method


def _mean(figures: Sequence[float | None]) -> float | None:
    """Return the unweighted mean over the datasets that define the figure."""
    defined = [figure for figure in figures if figure is not None]
    return sum(defined) / len(defined) if defined else None


def _text(figure: float | None) -> str:
    return UNDEFINED if figure is None else f"{100 * figure:.1f}"
