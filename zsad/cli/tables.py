"""Tables and fields as lines of a given width, in which no word is broken."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from typing import NamedTuple

GAP = "  "
"""What stands between two columns."""

READABLE = 20
"""Characters that a column of text keeps at least, where it has so many."""


class Fitted(NamedTuple):
    """A table that fits.

    Attributes:
        lines: What to print.
        left_out: Columns for which there is no room.
    """

    lines: list[str]
    left_out: tuple[str, ...]


def aligned(columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Return a header and a line per row, as wide as they are."""
    lines = [list(columns), *([row.get(column, "") for column in columns] for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    return [_line(line, widths, len) for line in lines]


def fitted(
    columns: Sequence[str], rows: Sequence[Mapping[str, str]], width: int, optional: Sequence[str] = ()
) -> Fitted:
    """Lay a table out within a width.

    Text wraps at spaces and headers at underscores too. Where that is not enough, the optional columns go, in
    their order; where even that is not enough, every row becomes a block with a field a line.

    Args:
        columns: The columns, in order; their names are the header.
        rows: Cells by column.
        width: Characters in a line.
        optional: Columns that can be missed, the least important first.
    """
    kept, left_out = list(columns), []
    going = [column for column in optional if column in columns]
    while _width(least := [_least(column, rows) for column in kept]) > width:
        if not going:
            blocks = [field_lines({column: row.get(column, "") for column in columns}, width) for row in rows]
            return Fitted([line for block in blocks for line in (*block, "")][:-1], ())
        left_out.append(going[0])
        kept.remove(going.pop(0))
    widths = _shared(least, [_natural(column, rows) for column in kept], width)
    lines = _wrapped_line([_header(column) for column in kept], widths, joint="")
    for row in rows:
        lines += _wrapped_line([row.get(column, "").split(" ") for column in kept], widths, joint=" ")
    return Fitted(lines, tuple(left_out))


def field_lines(fields: Mapping[str, str], width: int | None) -> list[str]:
    """Return a line per named value, wrapped at spaces within a width; empty ones are left out."""
    shown = {name: text for name, text in fields.items() if text}
    margin = max(map(len, shown), default=0)
    lines: list[str] = []
    for name, text in shown.items():
        room = width - margin - len(GAP) if width is not None else None
        parts = [text] if room is None else _wrapped(text.split(" "), max(room, 1))
        lines += [
            f"{head.ljust(margin)}{GAP}{part}" for head, part in zip_longest([name], parts, fillvalue="")
        ]
    return lines


def cells(text: str) -> int:
    """Return how many places of a terminal a text takes: Chinese characters take two, accents none."""
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def _header(column: str) -> list[str]:
    """Return where a header may be cut: after an underscore, which stays."""
    return re.findall(r"[^_]*_|[^_]+", column) or [""]


def _least(column: str, rows: Sequence[Mapping[str, str]]) -> int:
    """Return the least width of a column: its longest word, and for text enough to be read."""
    words = [word for row in rows for word in row.get(column, "").split(" ")]
    longest = max(map(cells, [*words, *_header(column)]))
    text = max((cells(row.get(column, "")) for row in rows), default=0)
    return max(longest, min(text, READABLE))


def _natural(column: str, rows: Sequence[Mapping[str, str]]) -> int:
    return max(map(cells, [column, *(row.get(column, "") for row in rows)]))


def _width(widths: Sequence[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)


def _shared(least: Sequence[int], natural: Sequence[int], width: int) -> list[int]:
    """Share what is left of a width; columns that want little get it first."""
    widths, left = list(least), width - _width(least)
    wanting = sorted(range(len(least)), key=lambda place: natural[place] - least[place])
    for number, place in enumerate(wanting):
        more = min(natural[place] - least[place], left // (len(wanting) - number))
        widths[place] += more
        left -= more
    return widths


def _wrapped_line(line: Sequence[Sequence[str]], widths: Sequence[int], *, joint: str) -> list[str]:
    """Return one row of a table as the lines that it takes."""
    columns = [_wrapped(pieces, width, joint) for pieces, width in zip(line, widths, strict=True)]
    return [_line(parts, widths, cells) for parts in zip_longest(*columns, fillvalue="")]


def _wrapped(pieces: Sequence[str], width: int, joint: str = " ") -> list[str]:
    """Join pieces to lines of a width; a piece that is longer has a line of its own."""
    lines = [pieces[0]]
    for piece in pieces[1:]:
        if cells(longer := f"{lines[-1]}{joint}{piece}") <= width:
            lines[-1] = longer
        else:
            lines.append(piece)
    return lines


def _line(parts: Sequence[str], widths: Sequence[int], length: Callable[[str], int]) -> str:
    padded = (part + " " * (width - length(part)) for part, width in zip(parts, widths, strict=True))
    return GAP.join(padded).rstrip()
