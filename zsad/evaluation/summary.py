"""The table of an evaluation: a row per cell, and the unweighted class mean per method and dataset."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zsad.data.corruption import CLEAN
from zsad.detect.record import Record
from zsad.evaluation.results import CellResult, ClassName
from zsad.files import write_text

FILE = "summary.csv"
MEAN = "mean"
"""The ``class`` of a mean row."""


class SummaryRow(Record):
    """A line of the table. In a mean, what its classes do not share is None.

    Attributes:
        method: Name of the method.
        backbone: Name of the backbone.
        weights: What the user named as weights, ``embedded`` for those that a plugin ships, or empty.
        weights_origin: ``authors``, ``own``, ``none``, or several of them joined by a plus sign.
        dataset: Name of the dataset.
        class_name: The class, or ``mean``; ``class`` in files.
        setting: The three axes of the setting.
        fidelity: What the method's numbers agree with.
        contaminated: Whether images that count here were seen in training.
        image_size: Side of the square input, or its short side, in pixels.
        shots: Reference images.
        seed: Seed of everything random.
        recipe_hash: Hash of the resolved recipe.
        n_normal: Normal images that count.
        n_anomalous: Anomalous images that count.
        dtype: Numbers that the backbone computes in.
        resolution: Where maps and masks were compared.
        corruption: What was done to the images, or ``none``.
        metrics: Value of each metric that was asked for, 0..1, or None where it is undefined.
    """

    method: str
    backbone: str
    weights: str
    weights_origin: str | None
    dataset: str
    class_name: ClassName
    setting: str | None
    fidelity: str | None
    contaminated: bool
    image_size: int | None
    shots: int | None
    seed: int | None
    recipe_hash: str | None
    n_normal: int
    n_anomalous: int
    dtype: str | None = None
    resolution: str | None = None
    corruption: str = CLEAN
    metrics: dict[str, float | None]

    @property
    def is_mean(self) -> bool:
        """Whether it is the mean of a method's classes on a dataset."""
        return self.class_name == MEAN

    @property
    def group(self) -> tuple[object, ...]:
        """What the rows of one mean have in common."""
        named = self.method, self.backbone, self.weights, self.dataset
        values = self.recipe_hash, self.image_size, self.shots, self.seed, self.dtype, self.resolution
        return *named, *values, self.corruption

    @property
    def uncorrupted_group(self) -> tuple[object, ...]:
        """What rows of the same images have in common, whatever was done to them."""
        return self.model_copy(update={"corruption": CLEAN}).group

    def columns(self) -> dict[str, Any]:
        """Return the row as ``--json`` has it: what it is, the standard metrics, others, the rest."""
        columns = self.plain()
        metrics: dict[str, float | None] = columns.pop("metrics")
        rest = {name: value for name in TOLD_APART if (value := columns.pop(name)) is not None}
        return columns | dict.fromkeys(STANDARD_METRICS) | metrics | rest


TOLD_APART = ("dtype", "resolution", "corruption")
"""Columns that are there where rows differ in them, or tell of a corruption, after all others: summary.csv
begins as it always has."""
COLUMNS = tuple(
    field.serialization_alias or name
    for name, field in SummaryRow.model_fields.items()
    if name not in ("metrics", *TOLD_APART)
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


def summary_rows(cells: Sequence[CellResult], *, contaminated: bool = False) -> list[SummaryRow]:
    """Return the rows of the table, cells in the order given, each group followed by its mean.

    Args:
        cells: Finished cells.
        contaminated: Whether cells whose images were seen in training count in means.
    """
    groups: dict[tuple[object, ...], list[SummaryRow]] = {}
    for cell in cells:
        row = cell_row(cell)
        groups.setdefault(row.group, []).append(row)
    rows = []
    for members in groups.values():
        rows += [*members, mean_row(members, contaminated=contaminated)]
    return rows


def cell_row(cell: CellResult) -> SummaryRow:
    """Return a finished cell as a row."""
    return SummaryRow(
        method=cell.method,
        backbone=cell.backbone.name,
        weights=cell.weights.name,
        weights_origin=cell.weights.origin,
        dataset=cell.dataset.name,
        class_name=cell.class_name,
        setting=cell.setting,
        fidelity=cell.fidelity,
        contaminated=bool(cell.contaminated_by),
        image_size=cell.image_size,
        shots=cell.shots,
        seed=cell.seed,
        recipe_hash=cell.recipe_hash,
        n_normal=cell.n_normal,
        n_anomalous=cell.n_anomalous,
        dtype=cell.dtype,
        resolution=cell.resolution,
        corruption=cell.corruption or CLEAN,
        metrics=cell.metrics,
    )


def mean_row(rows: Sequence[SummaryRow], *, contaminated: bool) -> SummaryRow:
    """Return the unweighted mean of a group's classes; a figure that no class defines stays empty."""
    kept = [row for row in rows if contaminated or not row.contaminated]
    first = rows[0]
    shared = {
        name: value if all(getattr(row, name) == value for row in rows) else None
        for name, value in first
        if name in SHARED
    }
    metrics: dict[str, float | None] = {}
    for name in dict.fromkeys(name for row in rows for name in row.metrics):
        values = [value for row in kept if (value := row.metrics.get(name)) is not None]
        metrics[name] = sum(values) / len(values) if values else None
    return first.model_copy(
        update={
            **shared,
            "class_name": MEAN,
            "contaminated": any(row.contaminated for row in kept),
            "n_normal": sum(row.n_normal for row in kept),
            "n_anomalous": sum(row.n_anomalous for row in kept),
            "metrics": metrics,
        }
    )


SHARED = (
    "setting", "fidelity", "image_size", "shots", "seed", "recipe_hash", "weights_origin", *TOLD_APART,
)  # fmt: skip
"""What a mean says of its classes, where they agree."""


def metric_names(rows: Sequence[SummaryRow]) -> list[str]:
    """Return the columns of figures: the standard ones, then any further ones in order of appearance."""
    further = [name for row in rows for name in row.metrics if name not in STANDARD_METRICS]
    return [*STANDARD_METRICS, *dict.fromkeys(further)]


def telling(rows: Sequence[SummaryRow]) -> tuple[str, ...]:
    """Return the columns without which two rows of a method, dataset and class would look alike."""
    alike: dict[tuple[str, ...], list[SummaryRow]] = {}
    for row in rows:
        alike.setdefault((row.method, row.dataset, row.class_name), []).append(row)
    return tuple(
        column
        for column in ("backbone", "weights", "recipe_hash", "image_size", "shots", "seed", *TOLD_APART)
        if any(_differ(members, column) for members in alike.values()) or _corrupted(rows, column)
    )


def _corrupted(rows: Sequence[SummaryRow], column: str) -> bool:
    return column == "corruption" and any(row.corruption != CLEAN for row in rows)


def _differ(rows: Sequence[SummaryRow], column: str) -> bool:
    return len({getattr(row, column) for row in rows}) > 1


def write_summary(folder: Path, rows: Sequence[SummaryRow]) -> None:
    """Write summary.csv: fractions 0..1 in full precision, empty where undefined."""
    stream = io.StringIO()
    columns = [
        *COLUMNS,
        *metric_names(rows),
        *(name for name in TOLD_APART if _differ(rows, name) or _corrupted(rows, name)),
    ]
    writer = csv.DictWriter(stream, columns, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _text(value) for name, value in row.columns().items()})
    write_text(folder / FILE, stream.getvalue())


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else value
