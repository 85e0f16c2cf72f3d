"""The folder of an evaluation: finished cells are there completely, others not at all."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from zsad.errors import InputError
from zsad.evaluation.cases import Case, write_case
from zsad.files import atomic_write, check_writable, write_json
from zsad.recipe.recipes import Display

LEFT_OVER = re.compile(r"\.[0-9a-f]{16}\.tmp")
"""Names of the temporary files of :func:`zsad.files.atomic_write`."""
RUN, CELLS, ROWS = "run.json", "cells", "per_image.parquet"

IMAGE_COLUMNS = pa.schema(
    [
        ("cell", pa.string()),
        ("method", pa.string()),
        ("backbone", pa.string()),
        ("dataset", pa.string()),
        ("class", pa.string()),
        ("place", pa.int64()),
        ("image", pa.string()),
        ("anomalous", pa.bool_()),
        ("defect_type", pa.string()),
        ("score", pa.float64()),
        ("map_maximum", pa.float64()),
        ("pixel_auroc", pa.float64()),
        ("error", pa.string()),
    ]
)
"""Columns of per_image.parquet; ``pixel_auroc`` is that within the one image."""


class ResultStore:
    """Reads and writes the folder of one evaluation.

    Attributes:
        folder: The folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def holds_a_run(self) -> bool:
        """Whether somebody has evaluated into the folder."""
        return (self.folder / RUN).is_file()

    def open(self, *, resume: bool) -> None:
        """Make the folder ready.

        Raises:
            InputError: It holds a run already and ``resume`` is not set.
            ZsadError: It cannot be written to.
        """
        if self.holds_a_run and not resume:
            raise InputError(
                f"--out {self.folder} holds a run already; add --resume to finish it, or name another folder"
            )
        check_writable(self.folder / CELLS)
        for left_over in self._left_overs():
            left_over.unlink(missing_ok=True)

    def _left_overs(self) -> list[Path]:
        """Return what a process left that was killed while it wrote; a folder may hold more than a run."""
        cells = self.folder / CELLS
        found = [*self.folder.glob(".*.tmp"), *cells.glob(".*.tmp"), *cells.glob("*/.*.tmp")]
        return [path for path in found if LEFT_OVER.fullmatch(path.name)]

    def write_run(self, facts: dict[str, Any]) -> None:
        """Write run.json."""
        write_json(self.folder / RUN, facts)

    def read_run(self) -> dict[str, Any]:
        """Return run.json.

        Raises:
            InputError: The folder holds no run.
        """
        found: dict[str, Any] = _read_json(self.folder / RUN)
        return found

    def read_results(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return run.json and the finished cells of its plan, in order.

        Raises:
            InputError: The folder holds no run.
        """
        run = self.read_run()
        return run, [found for key in run["cells"] if (found := self.read_cell(key)) is not None]

    def read_cell(self, key: str) -> dict[str, Any] | None:
        """Return a cell's result, or None where it is not finished."""
        path = self._path(key)
        return _read_json(path) if path.is_file() else None

    def finished(self, about: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return a cell's result, or None where it has to run: it is not there, or some images failed.

        Args:
            about: What stands behind the cell. Names and cards of the same weights may have changed since it
                was written: then its file says what is true now.
        """
        path = self._path(about["key"])
        found = self.read_cell(about["key"])
        if found is None or found["n_failed"] or not path.with_suffix(".parquet").is_file():
            return None
        renewed = found | dict(about)
        if renewed != found:
            write_json(path, renewed)
        return renewed

    def write_cell(
        self, result: dict[str, Any], rows: Sequence[dict[str, Any]], cases: Iterable[Case], display: Display
    ) -> dict[str, Any]:
        """Write a finished cell, its JSON last: it stands for the whole.

        Returns:
            The cell as it was written, with its cases.
        """
        path = self._path(result["key"])
        pictures = path.with_suffix("")
        shown = [write_case(case, display, pictures, number) for number, case in enumerate(cases, start=1)]
        common = {"cell": result["key"], "method": result["method"], "backbone": result["backbone"]["name"],
                  "dataset": result["dataset"]["name"], "class": result["class"]}  # fmt: skip
        _write_table(path.with_suffix(".parquet"), [common | row for row in rows])
        written = result | {"cases": shown}
        write_json(path, written)
        return written

    def write_images(self, keys: Sequence[str]) -> None:
        """Join the rows of the cells into per_image.parquet."""
        tables = [pq.read_table(self._path(key).with_suffix(".parquet")) for key in keys]
        _write(self.folder / ROWS, pa.concat_tables(tables) if tables else IMAGE_COLUMNS.empty_table())

    def _path(self, key: str) -> Path:
        return self.folder / CELLS / f"{key}.json"


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"there is no {path}; name the folder that 'zsad eval' wrote") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not readable: {error}; delete it and evaluate with --resume") from error


def _write_table(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    _write(path, pa.Table.from_pylist(list(rows), schema=IMAGE_COLUMNS))


def _write(path: Path, table: pa.Table) -> None:
    # Through memory: pyarrow would hide why a write failed.
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    atomic_write(path, lambda stream: stream.write(sink.getvalue()))
