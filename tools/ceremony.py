"""How much of a method's plugin is the method: ``python -m tools.ceremony [FOLDER]``.

Counts statements of Python (docstrings aside) below a folder of plugins. Not mathematics are: hook modules,
option models, importers of checkpoints; and elsewhere imports, factories, assertions, refusals of what does not
fit, fields of dataclasses, and lines that do no more than keep an option or an attribute. Everything else counts
as the method's mathematics, its function and class headers included.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from pathlib import Path

DECLARATIONS = {"__init__.py", "options.py", "convert.py"}
"""Files that hold no mathematics."""


def statements(source: str, *, declarations: bool) -> Counter[bool]:
    """Count statements by whether they are mathematics.

    Args:
        source: Python code.
        declarations: Whether the whole file declares and imports only.
    """
    counts: Counter[bool] = Counter()
    for node in ast.parse(source).body:
        _count(node, counts, ceremony=declarations)
    return counts


def _count(node: ast.stmt, counts: Counter[bool], *, ceremony: bool, inside: str = "") -> None:
    if (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    ):
        return  # a docstring
    own = ceremony or _is_ceremony(node, inside)
    counts[not own] += 1
    whole = ceremony or (isinstance(node, ast.FunctionDef) and node.name.startswith("build"))
    whole = whole or (isinstance(node, ast.If) and own)
    name = type(node).__name__ if isinstance(node, ast.ClassDef) else getattr(node, "name", inside)
    for field in ("body", "orelse", "finalbody", "handlers"):
        for child in getattr(node, field, ()):
            for statement in child.body if isinstance(child, ast.ExceptHandler) else [child]:
                _count(statement, counts, ceremony=whole, inside=name)


def _is_ceremony(node: ast.stmt, inside: str) -> bool:
    if isinstance(node, (ast.Import, ast.ImportFrom, ast.Assert, ast.Raise, ast.Pass)):
        return True
    if isinstance(node, ast.FunctionDef):
        return node.name.startswith("build")
    if isinstance(node, ast.If):  # a refusal
        return all(isinstance(child, (ast.Raise, ast.Assign)) for child in node.body) and any(
            isinstance(child, ast.Raise) for child in node.body
        )
    if inside == "ClassDef":
        return isinstance(node, (ast.AnnAssign, ast.Assign))
    if inside == "__init__":
        return _keeps(node)
    return False


def _keeps(node: ast.stmt) -> bool:
    """Whether a statement of a constructor only keeps what it was given."""
    if isinstance(node, ast.AnnAssign):
        return node.value is None or _plain(node.value)
    if isinstance(node, ast.Assign):
        return _plain(node.value)
    call = node.value if isinstance(node, ast.Expr) else None
    return isinstance(call, ast.Call) and "super()" in ast.unparse(call.func)


def _plain(value: ast.expr) -> bool:
    if isinstance(value, ast.Tuple):
        return all(map(_plain, value.elts))
    return isinstance(value, (ast.Name, ast.Attribute, ast.Constant))


def table(folder: Path) -> list[tuple[str, int, int]]:
    """Return name, statements that are not mathematics, and those that are, for every plugin in a folder."""
    rows = []
    for plugin in sorted(path for path in folder.iterdir() if (path / "recipe.yaml").is_file()):
        counts: Counter[bool] = Counter()
        for file in sorted(plugin.rglob("*.py")):
            counts += statements(file.read_text(encoding="utf-8"), declarations=file.name in DECLARATIONS)
        rows.append((plugin.name, counts[False], counts[True]))
    return rows


def main() -> None:
    """Print the table."""
    rows = table(Path(sys.argv[1] if len(sys.argv) > 1 else "plugins/zsad_plugins"))
    rows.append(("all", sum(row[1] for row in rows), sum(row[2] for row in rows)))
    print(f"{'method':<16}{'not mathematics':>16}{'mathematics':>13}{'share':>8}")
    for name, other, mathematics in rows:
        print(f"{name:<16}{other:>16}{mathematics:>13}{mathematics / (other + mathematics):>8.0%}")


if __name__ == "__main__":
    main()
