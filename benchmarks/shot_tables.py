"""Figures by the number of references, as tables: their means over the draws, with the deviation."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, stdev

FIGURES = ("image AUROC", "pixel AUROC", "pixel AP")

Draw = tuple[int, int]
"""Shots and seed."""

NO_REFERENCES: Draw = (0, 0)
"""The one draw of a method without references."""

Found = dict[Draw, list[float]]
"""The figures of every draw, in the order of ``FIGURES``."""

Table = dict[tuple[str, str], Found]
"""Those of every set and method."""


def written(table: Table, methods: Sequence[str], shots: Sequence[int]) -> str:
    """Return a table in Markdown for each figure: mean and deviation over the draws, in per cent.

    Means over the sets are those of the methods that have the same draws on all of them.
    """
    labels = list(dict.fromkeys(label for label, _ in table))
    found = dict(table)
    for method in methods if len(labels) > 1 else ():
        rows = [table.get((label, method), {}) for label in labels]
        if rows[0] and all(row.keys() == rows[0].keys() for row in rows):
            found["mean", method] = _mean(rows)
    most = max(len(_of(row, count)) for row in table.values() for count in shots)
    lines: list[str] = []
    for place, figure in enumerate(FIGURES):
        lines += [f"| {figure} | method | no reference | {' | '.join(map(str, shots))} |"]
        lines += ["|---|---|---:|" + "---:|" * len(shots)]
        for label, method in [(label, method) for label in [*labels, "mean"] for method in methods]:
            if (row := found.get((label, method))) is not None:
                cells = [_cell(_of(row, count), place, 1 if count == 0 else most) for count in (0, *shots)]
                lines.append(f"| {label} | {method} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def _of(found: Found, shots: int) -> list[list[float]]:
    return [figures for (count, _), figures in found.items() if count == shots]


def _mean(rows: Sequence[Found]) -> Found:
    """Return the means over sets, draw by draw, so that the deviation is that of the mean."""
    return {
        draw: [fmean(each) for each in zip(*(row[draw] for row in rows), strict=True)] for draw in rows[0]
    }


def _cell(figures: Sequence[Sequence[float]], place: int, wanted: int) -> str:
    """Return mean and deviation, and the number of draws where a run was cut."""
    values = [100 * each[place] for each in figures]
    if not values:
        return ""
    text = f"{fmean(values):.1f}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")
    lacking = "" if len(values) == wanted else f" ({len(values)} draw{'s' * (len(values) > 1)})"
    return text + lacking
