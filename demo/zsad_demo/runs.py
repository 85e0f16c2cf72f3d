"""Finished evaluations: found in a folder that the operator names, and read for the page."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from zsad.data.images import read_image
from zsad.errors import InputError
from zsad.evaluation.report import TITLES, figures
from zsad.evaluation.results import CaseKind, CaseResult, CellResult, RunInfo
from zsad.evaluation.store import ResultStore
from zsad.evaluation.summary import SummaryRow, metric_names, summary_rows
from zsad.metrics.curve import build_curve
from zsad.metrics.errors import UndefinedMetricError

Points = list[tuple[float, float]]
CASE_WORDS: dict[CaseKind, str] = {"worst": "found worst", "false alarm": "false alarm"}
"""Kinds of cases that the page shows."""


def find_runs(folder: Path) -> dict[str, Path]:
    """Return the runs of a folder by name: it is one itself, or those in it are.

    Raises:
        InputError: There is no such folder, or no run in it.
    """
    if not folder.is_dir():
        raise InputError(f"--runs {folder}: there is no such folder")
    if ResultStore(folder).holds_a_run:
        return {folder.resolve().name: folder}
    inside = sorted(path for path in folder.iterdir() if path.is_dir())
    found = {path.name: path for path in inside if ResultStore(path).holds_a_run}
    if not found:
        raise InputError(f"--runs {folder}: no run there; name a folder that 'zsad eval --out' wrote")
    return found


@dataclass(frozen=True)
class Run:
    """A finished evaluation.

    Attributes:
        folder: Where it lies.
        info: What was evaluated.
        cells: The finished cells.
    """

    folder: Path
    info: RunInfo
    cells: list[CellResult]

    @classmethod
    def read(cls, folder: Path) -> Run:
        """Read a run.

        Raises:
            InputError: It is not readable.
        """
        folder = folder.resolve()  # so that no sentence has the server's path in another spelling
        with _readable(folder):
            return cls(folder, *ResultStore(folder).read_results())

    def classes(self) -> list[str]:
        """Return ``dataset / class`` of every cell, each once."""
        return list(dict.fromkeys(map(_class_of, self.cells)))

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return header and rows of the results in per cent; a figure without a value says why."""
        rows = summary_rows(self.cells, contaminated=self.info.include_contaminated)
        names = [
            name for name in metric_names(rows) if any(row.metrics.get(name) is not None for row in rows)
        ]
        reasons = {(cell.method, cell.dataset.name, cell.class_name): cell.undefined for cell in self.cells}
        header = ["method", "dataset", "class", *(TITLES.get(name, name) for name in names), "setting"]
        return header, [
            _line(row, names, reasons.get((row.method, row.dataset, row.class_name), {})) for row in rows
        ]

    def curves(self, class_name: str) -> dict[str, Points]:
        """Return the ROC curve of the image scores of a class by method, where the run holds the scores.

        Args:
            class_name: One of :meth:`classes`.

        Raises:
            InputError: The run is damaged.
        """
        with _readable(self.folder):
            rows = ResultStore(self.folder).read_images()
        scores: dict[str, tuple[list[float], list[float]]] = {}
        for row in rows:
            if row.score is not None:
                scores.setdefault(row.cell, ([], []))[row.anomalous].append(row.score)
        found = {}
        for cell in self._of_class(class_name):
            points = roc_points(*scores.get(cell.key, ([], [])))
            if points:
                found[cell.method] = points
        return found

    def cases(self, class_name: str) -> list[tuple[Image.Image, str]]:
        """Return the pictures worth a look of a class: its worst cases and false alarms, with captions.

        Args:
            class_name: One of :meth:`classes`.

        Raises:
            InputError: The run is damaged, or names a picture outside of its folder.
        """
        store = ResultStore(self.folder)
        with _readable(self.folder):
            return [
                picture
                for cell in self._of_class(class_name)
                for case in cell.cases
                if case.kind in CASE_WORDS
                for picture in _pictures(case, cell.method, store)
            ]

    def _of_class(self, class_name: str) -> list[CellResult]:
        return [cell for cell in self.cells if _class_of(cell) == class_name]


def roc_points(normal: Sequence[float], anomalous: Sequence[float]) -> Points:
    """Return the corners of an ROC curve: false and true positive rate, from (0, 0) to (1, 1).

    Images of equal score pass a threshold together, so that the curve goes straight from one corner to the
    next.

    Args:
        normal: Scores.
        anomalous: Scores.

    Returns:
        The points, or none where one of the two is empty.
    """
    try:
        curve = build_curve(np.array(normal, np.float64), np.array(anomalous, np.float64))
    except UndefinedMetricError:
        return []
    points, hits = [(0.0, 0.0)], 0.0
    for above, alarms, now in zip(
        curve.false_alarms_above, curve.false_alarms, curve.hits / curve.n_anomalous, strict=True
    ):
        points += [(float(above) / curve.n_normal, hits), (float(alarms) / curve.n_normal, float(now))]
        hits = float(now)
    return [*points, (1.0, 1.0)]


@contextmanager
def _readable(folder: Path) -> Iterator[None]:
    """Have what a damaged run makes go wrong say so without the server's path.

    Raises:
        InputError: In the place of what was raised.
    """
    try:
        yield
    except InputError as error:
        raise InputError(str(error).replace(f"{folder}{os.sep}", f"{folder.name}{os.sep}")) from error


def _class_of(cell: CellResult) -> str:
    return f"{cell.dataset.name} / {cell.class_name}"


def _line(row: SummaryRow, names: Sequence[str], reasons: dict[str, str]) -> list[str]:
    seen = " (contaminated)" if row.contaminated else ""
    shown = "mean of classes" if row.is_mean else row.class_name
    return [row.method, row.dataset, f"{shown}{seen}", *figures(row, names, reasons), row.setting or ""]


def _pictures(case: CaseResult, method: str, store: ResultStore) -> list[tuple[Image.Image, str]]:
    name = Path(case.image).name
    shown = [(case.pictures.overlay, f"{method} {CASE_WORDS[case.kind]} {case.score:.3f} {name}")]
    if case.masked:
        shown.append((case.pictures.truth, f"truth of {name}"))
    return [(Image.fromarray(read_image(store.picture(file))), caption) for file, caption in shown]
