"""Finished evaluations: found in a folder that the operator names, and read for the page."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from zsad.data.images import read_image
from zsad.errors import InputError
from zsad.evaluation.report import TITLES
from zsad.evaluation.store import CELLS, ROWS, ResultStore
from zsad.evaluation.summary import MEAN, metric_names, summary_rows
from zsad.metrics.curve import build_curve
from zsad.metrics.errors import UndefinedMetricError

Points = list[tuple[float, float]]
CASE_WORDS = {"worst": "found worst", "false alarm": "false alarm"}
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
        facts: run.json.
        cells: The finished cells.
    """

    folder: Path
    facts: dict[str, Any]
    cells: list[dict[str, Any]]

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
        with _readable(self.folder):
            return list(dict.fromkeys(map(_class_of, self.cells)))

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return header and rows of the results in per cent; a figure without a value says why.

        Raises:
            InputError: The run is damaged.
        """
        with _readable(self.folder):
            return self._table()

    def _table(self) -> tuple[list[str], list[list[str]]]:
        rows = summary_rows(self.cells, contaminated=self.facts["include_contaminated"])
        names = [name for name in metric_names(rows) if any(row.get(name) is not None for row in rows)]
        reasons = {
            (cell["method"], cell["dataset"]["name"], cell["class"]): cell["undefined"] for cell in self.cells
        }
        header = ["method", "dataset", "class", *(TITLES.get(name, name) for name in names), "setting"]
        return header, [_row(row, names, reasons) for row in rows]

    def curves(self, class_name: str) -> dict[str, Points]:
        """Return the ROC curve of the image scores of a class by method, where the run holds the scores.

        Args:
            class_name: One of :meth:`classes`.

        Raises:
            InputError: The run is damaged.
        """
        with _readable(self.folder):
            return self._curves(class_name)

    def _curves(self, class_name: str) -> dict[str, Points]:
        file = self.folder / ROWS
        if not file.is_file():
            return {}
        wanted = [cell for cell in self.cells if _class_of(cell) == class_name]
        table = pq.read_table(file, columns=["cell", "anomalous", "score"]).to_pydict()
        scores: dict[str, tuple[list[float], list[float]]] = {}
        for key, anomalous, score in zip(table["cell"], table["anomalous"], table["score"], strict=True):
            if score is not None:
                scores.setdefault(key, ([], []))[bool(anomalous)].append(score)
        found = {}
        for cell in wanted:
            points = roc_points(*scores.get(cell["key"], ([], [])))
            if points:
                found[cell["method"]] = points
        return found

    def cases(self, class_name: str) -> list[tuple[Image.Image, str]]:
        """Return the pictures worth a look of a class: its worst cases and false alarms, with captions.

        Args:
            class_name: One of :meth:`classes`.

        Raises:
            InputError: The run is damaged, or names a picture outside of its folder.
        """
        with _readable(self.folder):
            return self._cases(class_name)

    def _cases(self, class_name: str) -> list[tuple[Image.Image, str]]:
        found = []
        for cell in self.cells:
            if _class_of(cell) != class_name:
                continue
            for case in cell["cases"]:
                if case["kind"] in CASE_WORDS:
                    found += _pictures(case, cell["method"], self.folder)
        return found


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
    """Have whatever a damaged run makes go wrong say so in one sentence, without the server's path.

    Raises:
        InputError: In the place of what was raised.
    """
    try:
        yield
    except InputError as error:
        raise InputError(str(error).replace(f"{folder}{os.sep}", f"{folder.name}{os.sep}")) from error
    except (ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError) as error:
        raise InputError(
            f"the run '{folder.name}' is damaged; evaluate into a new folder, or leave it out"
        ) from error


def _class_of(cell: Mapping[str, Any]) -> str:
    return f"{cell['dataset']['name']} / {cell['class']}"


def _row(
    row: Mapping[str, Any], names: Sequence[str], reasons: Mapping[tuple[str, str, str], Mapping[str, str]]
) -> list[str]:
    why = reasons.get((row["method"], row["dataset"], row["class"]), {})
    figures = [f"{100 * row[name]:.1f}" if row.get(name) is not None else why.get(name, "") for name in names]
    seen = " (contaminated)" if row["contaminated"] else ""
    shown = "mean of classes" if row["class"] == MEAN else row["class"]
    return [row["method"], row["dataset"], f"{shown}{seen}", *figures, row["setting"] or ""]


def _pictures(case: Mapping[str, Any], method: str, folder: Path) -> list[tuple[Image.Image, str]]:
    name = Path(case["image"]).name
    what = f"{method} {CASE_WORDS[case['kind']]} {case['score']:.3f}"
    captions = {"overlay": f"{what} {name}", "truth": f"truth of {name}"}
    found = []
    for kind in captions if case["masked"] else ("overlay",):
        path = (folder / CELLS / case["pictures"][kind]).resolve()
        if not path.is_relative_to(folder):
            raise InputError(f"the run '{folder.name}' names a picture outside of its folder")
        found.append((Image.fromarray(read_image(path)), captions[kind]))
    return found
