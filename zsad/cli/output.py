"""How commands print: results to stdout, everything else to stderr."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from zsad.cli.notices import present
from zsad.cli.tables import aligned, field_lines, fitted

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

T = TypeVar("T")

PLAIN_INTERVAL = 10.0
"""Seconds between progress lines where there is no terminal."""


def _json_alone(wanted: bool) -> bool:
    if wanted:
        present().keep_results_apart()
    return wanted


JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.", callback=_json_alone)]
"""The option ``--json`` of every command that prints a result."""


@functools.cache
def stderr_console() -> Console:
    """Return the console for progress and notices."""
    from rich.console import Console  # rich takes longer to import than a listing takes to print

    return Console(stderr=True, markup=False, highlight=False)


def print_message(text: str) -> None:
    """Print a notice to stderr."""
    present().say(text)


def print_json(value: object) -> None:
    """Print a result as JSON; dataclasses become objects, sets sorted arrays, paths strings.

    Raises:
        ValueError: If a number is not finite, which JSON cannot say; an undefined figure is None.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=_jsonable)
    print(text, file=present().results or sys.stdout)


def print_table(
    rows: Iterable[Mapping[str, object]], columns: Sequence[str], optional: Sequence[str] = ()
) -> None:
    """Print a table: within the width of a terminal, aligned lines as wide as they are elsewhere.

    Args:
        rows: Cells by column; a missing or None cell is empty.
        columns: The columns to show, in order; their names are the header.
        optional: Columns that a narrow terminal can miss, the least important first.
    """
    texts = [{column: _text(row.get(column)) for column in columns} for row in rows]
    width = _terminal_width()
    if width is None:
        print("\n".join(aligned(columns, texts)))
        return
    table = fitted(columns, texts, width, optional)
    print("\n".join(table.lines))
    if table.left_out:
        names = ", ".join(table.left_out)
        print_message(f"left out for want of width: {names}; a wider terminal, a pipe or --json shows them")


def print_fields(fields: Mapping[str, object]) -> None:
    """Print named values one a line, without those that are empty; a terminal's lines break between words."""
    for line in field_lines({name: _text(value) for name, value in fields.items()}, _terminal_width()):
        print(line)


def _terminal_width() -> int | None:
    """Return the characters of a terminal's line, or None where standard output is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


class ProgressLine:
    """Progress on stderr: a bar on a terminal from the first step on, a plain line now and then elsewhere.

    Attributes:
        total: What is complete.
        unit: What is counted, in the plural.
    """

    def __init__(self, total: int, unit: str) -> None:
        self.total, self.unit = total, unit
        self._shown = time.monotonic()
        self._begun: tuple[str, int, float] | None = None
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
        if self._begun is None or self._begun[0] != self.unit or done < self._begun[1]:
            self._begun = self.unit, done, time.monotonic()
        if present().quiet:
            return
        if self._bar is None and sys.stderr.isatty():
            from rich.progress import Progress

            self._bar = Progress(console=stderr_console(), transient=True)
            self._bar.start()
            self._task = self._bar.add_task(self.unit, total=self.total)
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=self.total, description=self.unit)
        elif time.monotonic() - self._shown > PLAIN_INTERVAL:
            print_message(f"{done} of {self.total} {self.unit}{self._left(done)}")
            self._shown = time.monotonic()

    def note(self, text: str) -> None:
        """Print a notice above the bar."""
        if self._bar is not None:
            self._bar.console.print(text)
            present().note(text)
        else:
            print_message(text)

    def _left(self, done: int) -> str:
        """Return about how long the rest takes, at the pace so far."""
        assert self._begun is not None
        _, first, begun = self._begun
        if done <= first:
            return ""
        return f", about {duration((time.monotonic() - begun) / (done - first) * (self.total - done))} left"


def told_apart(figures: Sequence[float], least: int = 4, most: int = 9) -> list[str]:
    """Return figures with as many decimals as it takes to tell those apart that differ."""
    for decimals in range(least, most):
        texts = [f"{figure:.{decimals}f}" for figure in figures]
        if len(set(texts)) == len(set(figures)):
            return texts
    return [f"{figure:.{most}f}" for figure in figures]


def duration(seconds: float) -> str:
    """Return a time in the largest unit that says enough: ``40 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


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
