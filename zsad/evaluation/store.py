"""The folder of an evaluation: finished cells are there completely, others not at all."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from zsad.data.names import printable
from zsad.errors import InputError
from zsad.evaluation.cases import Cases, Seen, write_case
from zsad.evaluation.formats import MEND, DamagedError, read_cell, read_run, write_result
from zsad.evaluation.joining import joined_cells
from zsad.evaluation.results import CaseResult, CellFacts, CellResult, ImageRow, RunInfo
from zsad.files import atomic_write, check_writable

if TYPE_CHECKING:
    from zsad.evaluation.cells import Cell

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
"""Columns of per_image.parquet, see :class:`zsad.evaluation.results.ImageRow`."""


class ResultStore:
    """Reads and writes the folder of one evaluation.

    Attributes:
        folder: The folder.
        former: What ``run.json`` said when the folder was opened, if there was one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.former: RunInfo | None = None
        self._notes: list[str] = []
        self._keys: tuple[str, ...] = ()

    @property
    def holds_a_run(self) -> bool:
        """Whether somebody has evaluated into the folder."""
        return (self.folder / RUN).is_file()

    def open(self, *, resume: bool) -> None:
        """Make the folder ready; a ``run.json`` that is damaged is set aside, and the cells stay.

        Raises:
            InputError: It holds a run already and ``resume`` is not set, or one that cannot be resumed.
            ZsadError: It cannot be written to.
        """
        if self.holds_a_run:
            if not resume:
                raise InputError(
                    f"--out {self.folder} holds a run already; add --resume to finish it, or name another "
                    "folder"
                )
            try:
                self.former = self.read_run()  # what is of a newer zsad is not overwritten
                self._keys = self.former.cells
            except DamagedError:
                self._set_aside(self.folder / RUN)
                self._keys = tuple(sorted(path.stem for path in (self.folder / CELLS).glob("*.json")))
        check_writable(self.folder / CELLS)
        for left_over in self._left_overs():
            left_over.unlink(missing_ok=True)

    def _left_overs(self) -> list[Path]:
        """Return what a process left that was killed while it wrote; a folder may hold more than a run."""
        cells = self.folder / CELLS
        found = [*self.folder.glob(".*.tmp"), *cells.glob(".*.tmp"), *cells.glob("*/.*.tmp")]
        return [path for path in found if LEFT_OVER.fullmatch(path.name)]

    def write_run(self, run: RunInfo) -> None:
        """Write run.json."""
        write_result(self.folder / RUN, run)

    def read_run(self) -> RunInfo:
        """Return run.json.

        Raises:
            InputError: The folder holds no run, or it is not readable.
        """
        return read_run(self.folder / RUN)

    def read_results(self) -> tuple[RunInfo, list[CellResult]]:
        """Return run.json and the finished cells of its plan, in order; one for those that differ in metrics.

        Raises:
            InputError: The folder holds no run, or some of it is not readable.
        """
        run = self.read_run()
        return run, joined_cells(found for key in run.cells if (found := self.read_cell(key)) is not None)

    def held(self) -> dict[str, CellResult]:
        """Return the finished cells that were there when the folder was opened, in order, by key.

        Whatever of them is damaged is set aside.

        Raises:
            InputError: A file cannot be read at all.
        """
        return {key: found for key in self._keys if (found := self._sound(key)) is not None}

    def read_cell(self, key: str) -> CellResult | None:
        """Return a cell's result, or None where it is not finished.

        Raises:
            InputError: It is not readable.
        """
        path = self._path(key)
        return read_cell(path) if path.is_file() else None

    def finished(self, facts: CellFacts) -> CellResult | None:
        """Return a cell's result, or None where it has to run.

        That is where it is not there or damaged, has no answer, or some images or metrics failed.

        Args:
            facts: What stands behind the cell. Names and cards of the same weights may have changed since it
                was written: then its file says what is true now.

        Raises:
            InputError: It cannot be read at all.
        """
        path = self._path(facts.key)
        found = self._sound(facts.key)
        if found is None or found.n_failed or found.error is not None or found.failed_metrics:
            return None
        renewed = found.renewed(facts)
        if renewed != found:
            write_result(path, renewed)
        return renewed

    def taken_notes(self) -> tuple[str, ...]:
        """Return what was set aside since the last call, a sentence each."""
        taken = tuple(self._notes)
        self._notes.clear()
        return taken

    def _sound(self, key: str) -> CellResult | None:
        """Return a cell of which nothing is missing or damaged; set aside what is."""
        path = self._path(key)
        rows = path.with_suffix(".parquet")
        try:
            found = self.read_cell(key)
        except DamagedError:
            self._set_aside(path)
            return None
        if found is None or not rows.is_file():
            return None
        broken = []
        try:
            _read_table(rows)
        except DamagedError:
            broken.append(rows)
        broken += [
            file
            for case in found.cases
            for _, name in case.pictures
            if not _whole(file := path.parent / name)
        ]
        for file in broken:
            self._set_aside(file)
        if broken:
            path.replace(_aside(path))
            return None
        return found

    def _set_aside(self, path: Path) -> None:
        aside = _aside(path)
        if path.exists():
            path.replace(aside)
            self._notes.append(f"{path} is damaged: it is set aside as {aside.name}, and made again")
        else:
            self._notes.append(f"{path} is gone: its cell is computed again")

    def write_cases(self, cell: Cell, cases: Cases) -> tuple[CaseResult, ...]:
        """Write the pictures of a cell's cases."""
        folder = self._path(cell.key).with_suffix("")
        seen = Seen(cell.dataset.corruption, cell.rules.seed)
        numbered = enumerate(cases.all(), start=1)
        return tuple(write_case(case, cases.display, folder, number, seen) for number, case in numbered)

    def write_cell(self, result: CellResult, rows: Sequence[ImageRow]) -> None:
        """Write a finished cell whose pictures are there, its JSON last: it stands for the whole."""
        path = self._path(result.key)
        table = pa.Table.from_pylist([_texts(row.plain()) for row in rows], schema=IMAGE_COLUMNS)
        _write_table(path.with_suffix(".parquet"), table)
        write_result(path, result)

    def write_images(self, keys: Sequence[str]) -> None:
        """Join the rows of the cells into per_image.parquet.

        Raises:
            InputError: Rows of a cell are not readable.
        """
        tables = [_read_table(self._path(key).with_suffix(".parquet")) for key in keys]
        _write_table(self.folder / ROWS, pa.concat_tables(tables) if tables else IMAGE_COLUMNS.empty_table())

    def read_images(self) -> list[ImageRow]:
        """Return the rows of per_image.parquet, none where it is not there.

        Raises:
            InputError: It is not readable.
        """
        path = self.folder / ROWS
        if not path.is_file():
            return []
        return [ImageRow.model_validate(row) for row in _read_table(path).to_pylist()]

    def picture(self, name: str) -> Path:
        """Return the file of a picture that a cell names.

        Raises:
            InputError: It is not in the folder of the cells, or gone.
        """
        cells = (self.folder / CELLS).resolve()
        path = (cells / name).resolve()
        if not path.is_relative_to(cells):
            raise InputError(f"a cell in {cells} names a picture outside of its folder, {name}")
        if not path.is_file():
            raise InputError(
                f"cannot read {path}: the picture is gone; delete {path.parent}.json and evaluate with "
                "--resume"
            )
        return path

    def _path(self, key: str) -> Path:
        return self.folder / CELLS / f"{key}.json"


def _aside(path: Path) -> Path:
    return path.with_name(f"{path.name}.damaged")


def _whole(picture: Path) -> bool:
    """Return whether a picture is there from its first marker to its last."""
    try:
        held = picture.read_bytes()
    except FileNotFoundError:
        return False
    return held.startswith(b"\xff\xd8") and held.endswith(b"\xff\xd9")


def _texts(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with names that are no text, undecodable bytes of a file's name, as escapes."""
    return {name: printable(value) if isinstance(value, str) else value for name, value in row.items()}


def _read_table(path: Path) -> pa.Table:
    try:
        table = pq.read_table(pa.BufferReader(path.read_bytes()))
    except PermissionError as error:
        raise InputError(f"{path} is not readable: {error}; {MEND}") from error
    except (OSError, pa.ArrowException) as error:
        raise DamagedError(f"{path} is damaged, or not of 'zsad eval' ({error}); {MEND}") from error
    if table.schema != IMAGE_COLUMNS:
        raise DamagedError(f"{path} is damaged, or not of 'zsad eval' (it has other columns); {MEND}")
    return table


def _write_table(path: Path, table: pa.Table) -> None:
    # Through memory: pyarrow would hide why a write failed.
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    atomic_write(path, lambda stream: stream.write(sink.getvalue()))
