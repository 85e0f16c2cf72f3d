"""How commands print: results to stdout, everything else to stderr."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

T = TypeVar("T")

PLAIN_INTERVAL = 10.0
"""Seconds between progress lines where there is no terminal."""

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
"""The option ``--json`` of every command that prints a result."""


@functools.cache
def stderr_console() -> Console:
    """Return the console for progress and notices."""
    from rich.console import Console  # rich takes longer to import than a listing takes to print

    return Console(stderr=True, markup=False, highlight=False)


def print_message(text: str) -> None:
    """Print a notice to stderr."""
    print(text, file=sys.stderr)


def print_json(value: object) -> None:
    """Print a result as JSON; dataclasses become objects, sets sorted arrays, paths strings.

    Raises:
        ValueError: If a number is not finite, which JSON cannot say; an undefined figure is None.
    """
    print(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=_jsonable))


def print_table(rows: Iterable[Mapping[str, object]], columns: Sequence[str]) -> None:
    """Print a table: drawn by rich on a terminal, aligned plain lines elsewhere.

    Args:
        rows: Cells by column; a missing or None cell is empty.
        columns: The columns to show, in order; their names are the header.
    """
    cells = [[_text(row.get(column)) for column in columns] for row in rows]
    if sys.stdout.isatty():
        _print_rich_table(cells, columns)
        return
    lines = [list(columns), *cells]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def print_fields(fields: Mapping[str, object]) -> None:
    """Print named values one a line, without those that are empty."""
    shown = {name: text for name, value in fields.items() if (text := _text(value))}
    width = max(map(len, shown), default=0)
    for name, text in shown.items():
        print(f"{name.ljust(width)}  {text}")


class ProgressLine:
    """Progress on stderr: a bar on a terminal from the first step on, a plain line now and then elsewhere.

    Attributes:
        total: What is complete.
        unit: What is counted, in the plural.
    """

    def __init__(self, total: int, unit: str) -> None:
        self.total, self.unit = total, unit
        self._shown = time.monotonic()
        self._bar: Progress | None = None

    def __enter__(self) -> ProgressLine:
        """Return the line; nothing is shown yet, and what comes before may have progress of its own."""
        return self

    def __exit__(self, *error: object) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()

    def show(self, done: int, total: int | None = None, unit: str | None = None) -> None:
        """Show how much is done; a task that follows has its own total and unit."""
        self.total, self.unit = total or self.total, unit or self.unit
        if self._bar is None and sys.stderr.isatty():
            from rich.progress import Progress

            self._bar = Progress(console=stderr_console(), transient=True)
            self._bar.start()
            self._task = self._bar.add_task(self.unit, total=self.total)
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=self.total, description=self.unit)
        elif time.monotonic() - self._shown > PLAIN_INTERVAL:
            print_message(f"{done} of {self.total} {self.unit}")
            self._shown = time.monotonic()

    def note(self, text: str) -> None:
        """Print a notice above the bar."""
        if self._bar is not None:
            self._bar.console.print(text)
        else:
            print_message(text)


def progress(items: Iterable[T], total: int, unit: str) -> Iterator[T]:
    """Yield the items with progress on stderr.

    Args:
        items: What to go through.
        total: Their number.
        unit: What they are, in the plural.
    """
    with ProgressLine(total, unit) as line:
        for count, item in enumerate(items, start=1):
            yield item
            line.show(count)


def _print_rich_table(cells: list[list[str]], columns: Sequence[str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for line in cells:
        table.add_row(*(Text(cell) for cell in line))
    Console().print(table)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, AbstractSet):
        return ", ".join(sorted(map(str, value)))
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return " ".join(str(value).split())


def _jsonable(value: object) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, AbstractSet):
        return sorted(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
