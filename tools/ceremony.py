"""How much of a method's plugin is the method: ``python -m tools.ceremony [FOLDER]``.

Counts lines of code, as ruff formats them, without blank lines, comments and docstrings. Not mathematics are
hook modules, option models and importers of checkpoints; elsewhere imports, ``build`` functions, assertions,
refusals of what does not fit, fields of dataclasses, and lines that only keep an option or an attribute.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

DECLARATIONS = {"__init__.py", "options.py", "convert.py"}
"""Files that hold no mathematics."""


def counted(source: str, *, declarations: bool = False) -> tuple[int, int]:
    """Return the lines of Python code that are not mathematics, and those that are.

    Args:
        source: The code.
        declarations: Whether nothing in it is.
    """
    tree = ast.parse(source)
    docstrings = {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    code = {
        number
        for number, line in enumerate(source.splitlines(), 1)
        if line.strip() and not line.strip().startswith("#") and number not in docstrings
    }
    ceremony = code if declarations else code & set(_ceremony(tree.body, ""))
    return len(ceremony), len(code - ceremony)


def _ceremony(body: list[ast.stmt], inside: str) -> Iterator[int]:
    """Yield the numbers of lines that are not mathematics; ``inside`` is a function's name or "class"."""
    for node in body:
        if _is_ceremony(node, inside):
            yield from range(node.lineno, (node.end_lineno or node.lineno) + 1)
            continue
        name = "class" if isinstance(node, ast.ClassDef) else getattr(node, "name", inside)
        for field in ("body", "orelse", "finalbody"):
            yield from _ceremony(getattr(node, field, []), name)


def _is_ceremony(node: ast.stmt, inside: str) -> bool:
    if isinstance(node, (ast.Import, ast.ImportFrom, ast.Assert, ast.Raise, ast.Pass)):
        return True
    if isinstance(node, ast.FunctionDef):
        return node.name.startswith("build")
    if isinstance(node, ast.If):  # a refusal
        return isinstance(node.body[-1], ast.Raise) and not node.orelse
    if inside == "class":
        return isinstance(node, (ast.AnnAssign, ast.Assign))
    return inside == "__init__" and _keeps(node)


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
    """Return name, lines that are not mathematics, and those that are, for every method in a folder."""
    rows = []
    for plugin in sorted(path for path in folder.iterdir() if (path / "recipe.yaml").is_file()):
        files = sorted(plugin.rglob("*.py"))
        each = [counted(file.read_text("utf-8"), declarations=file.name in DECLARATIONS) for file in files]
        rows.append((plugin.name, sum(other for other, _ in each), sum(own for _, own in each)))
    return rows


def main() -> None:
    """Print the table."""
    rows = table(Path(sys.argv[1] if len(sys.argv) > 1 else "plugins/zsad_plugins"))
    rows.append(("all", sum(row[1] for row in rows), sum(row[2] for row in rows)))
    print(f"{'method':<16}{'not mathematics':>16}{'mathematics':>13}{'share':>8}")
    for name, other, own in rows:
        print(f"{name:<16}{other:>16}{own:>13}{own / (other + own):>8.0%}")


if __name__ == "__main__":
    main()
