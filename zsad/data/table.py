"""Read a CSV file with a header, row by row, with the line number for errors."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from zsad.data.written import require_regular
from zsad.errors import InputError, nearest


def read_rows(file: Path, columns: Sequence[str]) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield ``"FILE, line N"`` and the cells by column, stripped of spaces; empty lines are left out.

    Args:
        file: A CSV file in UTF-8, with or without byte order mark; commas, semicolons or tabs part its cells,
            as in its first line.
        columns: The columns that it must have; others may stand beside them.

    Raises:
        InputError: If the file cannot be read, lacks a column, or a row has another number of cells.
    """
    require_regular(file)
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            mark = _delimiter(stream.readline(), columns)
            stream.seek(0)
            lines = csv.reader(stream, strict=True, delimiter=mark)
            header = [cell.strip() for cell in next(lines, [])]
            _check_header(file, header, columns)
            for cells in lines:
                where = f"'{file}', line {lines.line_num}"
                if not any(cell.strip() for cell in cells):
                    continue
                if len(cells) != len(header):
                    raise InputError(f"{where}: {len(cells)} cells, but the header has {len(header)}")
                yield where, dict(zip(header, (cell.strip() for cell in cells), strict=True))
    except OSError as error:
        raise InputError(f"cannot read '{file}': {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"cannot read '{file}': it is not UTF-8 text; save it as CSV in UTF-8") from error
    except csv.Error as error:
        raise InputError(f"cannot read '{file}': {error}") from error


def _delimiter(first: str, columns: Sequence[str]) -> str:
    """Return the one of comma, semicolon and tab by which a first line has most of the columns."""

    def known(mark: str) -> int:
        return len({cell.strip().strip('"') for cell in first.split(mark)} & set(columns))

    return max((",", ";", "\t"), key=known)


def _check_header(file: Path, header: Sequence[str], columns: Sequence[str]) -> None:
    if not header:
        raise InputError(f"'{file}' has no first line to name its columns: {', '.join(columns)} and others")
    for name in columns:
        if name not in header:
            hint = nearest(name, header) or f"; it has {', '.join(header)}"
            raise InputError(f"'{file}' has no column '{name}' in its first line{hint}")
    for name in header:
        if header.count(name) > 1:
            raise InputError(f"'{file}' has the column '{name}' twice")
