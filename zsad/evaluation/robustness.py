"""What corruptions cost: figures of corrupted images beside those of the same images as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zsad.data.corruption import CLEAN, KINDS
from zsad.evaluation.summary import SummaryRow

WIDTH, HEIGHT, MARGIN = 300, 150, 8
"""Size of a curve's picture, and what is left free around it, in pixels."""
CURVES = ("image_auroc", "pixel_auroc", "aupro")
"""Figures that have curves, where they are defined."""


@dataclass(frozen=True)
class Change:
    """A row of corrupted images beside the one of the same images as they are.

    Attributes:
        row: Of the corrupted images.
        clean: Of the images as they are.
    """

    row: SummaryRow
    clean: SummaryRow

    def change(self, metric: str) -> float | None:
        """Return what a figure lost (below 0) or won, or None where one of the two is undefined."""
        before, after = self.clean.metrics.get(metric), self.row.metrics.get(metric)
        return None if before is None or after is None else after - before


@dataclass(frozen=True)
class Curve:
    """A figure over the strengths of a kind of corruption.

    Attributes:
        title: What is shown: dataset, kind and figure.
        ends: The least and the greatest strength.
        lines: By method, the points of a line in the picture, ``"x,y x,y"``, figures from 0 below to 1 above.
    """

    title: str
    ends: tuple[str, str]
    lines: dict[str, str]


def changes(rows: Sequence[SummaryRow]) -> list[Change]:
    """Return the means of corrupted images that have one of the same images as they are, in their order."""
    means = [row for row in rows if row.is_mean]
    clean = {row.uncorrupted_group: row for row in means if row.corruption == CLEAN}
    return [
        Change(row, clean[row.uncorrupted_group])
        for row in means
        if row.corruption != CLEAN and row.uncorrupted_group in clean
    ]


def curves(found: Sequence[Change], titles: dict[str, str]) -> list[Curve]:
    """Return a curve for every dataset, kind and figure that has two strengths or more of some method.

    The images as they are stand at the strength that changes nothing, where a kind has one.

    Args:
        found: From :func:`changes`.
        titles: What figures are called.
    """
    groups: dict[tuple[str, str], list[Change]] = {}
    for each in found:
        groups.setdefault((each.row.dataset, each.row.corruption.partition(":")[0]), []).append(each)
    drawn = []
    for (dataset, kind), members in groups.items():
        for metric in CURVES:
            points = _points(members, kind, metric)
            if any(len(line) > 2 for line in points.values()):
                title = f"{titles.get(metric, metric)}, {kind}, {dataset}"
                drawn.append(_curve(title, {name: line for name, line in points.items() if len(line) > 1}))
    return drawn


Points = dict[float, float]


def _points(members: Sequence[Change], kind: str, metric: str) -> dict[str, Points]:
    """Return the figure by strength, for each method."""
    neutral = KINDS[kind].neutral
    lines: dict[str, Points] = {}
    for each in members:
        value, before = each.row.metrics.get(metric), each.clean.metrics.get(metric)
        line = lines.setdefault(_label(each.row), {})
        if value is not None:
            line[float(each.row.corruption.partition(":")[2])] = value
        if before is not None and neutral is not None:
            line[neutral] = before
    return lines


def _label(row: SummaryRow) -> str:
    return " ".join(filter(None, (row.method, row.backbone)))


def _curve(title: str, lines: dict[str, Points]) -> Curve:
    strengths = sorted({strength for line in lines.values() for strength in line})
    low, high = strengths[0], strengths[-1]

    def place(strength: float, value: float) -> str:
        x = MARGIN + (WIDTH - 2 * MARGIN) * (strength - low) / (high - low)
        y = MARGIN + (HEIGHT - 2 * MARGIN) * (1 - min(max(value, 0.0), 1.0))
        return f"{x:.1f},{y:.1f}"

    drawn = {name: " ".join(place(*point) for point in sorted(line.items())) for name, line in lines.items()}
    return Curve(title, (f"{low:g}", f"{high:g}"), drawn)
