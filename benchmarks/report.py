"""What a section found, on disk after every row, so that a section that is cut off loses nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STATES = {"passed": 0, "failed": 1, "error": 1, "out of time": 1, "not run": 1}
"""What a section may come to, and whether that makes the whole run fail."""


@dataclass
class Report:
    """The findings of one section.

    Attributes:
        path: File that holds them.
        facts: Named values.
        checks: Values with the mark that they have to keep below.
        rows: A table.
    """

    path: Path
    facts: dict[str, Any] = field(default_factory=dict)
    checks: list[dict[str, Any]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)

    def fact(self, **values: Any) -> None:
        """Note values that nothing is asked of."""
        self.facts |= values
        self._write()

    def check(self, name: str, value: float, mark: float) -> None:
        """Note a value that has to be a number of at most ``mark``."""
        self.checks.append({"name": name, "value": value, "mark": mark, "passed": value <= mark})
        self._write()

    def row(self, **values: Any) -> None:
        """Note a row of the section's table."""
        self.rows.append(values)
        self._write()

    def _write(self) -> None:
        content = {"facts": self.facts, "checks": self.checks, "rows": self.rows}
        self.path.write_text(json.dumps(content), encoding="utf-8")


def read(path: Path) -> dict[str, Any]:
    """Return what a section has noted, which may be nothing."""
    empty: dict[str, Any] = {"facts": {}, "checks": [], "rows": []}
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else empty


def state_of(content: Mapping[str, Any], code: int | None) -> str:
    """Return the state of a section: a word of ``STATES``.

    Args:
        content: What it noted.
        code: Exit code of its process, or None where its time was over.
    """
    if code is None:
        return "out of time"
    if code:
        return "error"
    return "passed" if all(check["passed"] for check in content["checks"]) else "failed"


def text_of(name: str, section: Mapping[str, Any]) -> str:
    """Return a section as lines to read."""
    lines = [f"== {name}: {section['state']} ({section['seconds']:.0f} s)"]
    lines += [f"{key}: {_shown(value)}" for key, value in section["facts"].items()]
    lines += [
        f"{'ok ' if check['passed'] else 'OFF'} {check['name']}: {_shown(check['value'])} "
        f"(at most {_shown(check['mark'])})"
        for check in section["checks"]
    ]
    lines += _table(section["rows"])
    if section.get("error"):
        lines += ["the end of its messages:", *(f"  {line}" for line in section["error"].splitlines())]
    return "\n".join(lines) + "\n"


def _table(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    rows = list(rows)
    if not rows:
        return []
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [columns, *([_shown(row.get(name, "")) for name in columns] for row in rows)]
    widths = [max(len(line[place]) for line in cells) for place in range(len(columns))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
