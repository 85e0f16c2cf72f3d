"""Reads the project's documents: their code blocks, code spans, tables, links, and the commands in them."""

from __future__ import annotations

import ast
import itertools
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

PROGRAMS = ("zsad", "python", "accelerate", "pre-commit", "ruff", "mypy", "just")
"""Programs whose calls in shell blocks are looked at."""

JUSTFILE = ROOT / "justfile"

_SHELL = re.compile(rf"(?:[A-Z_]+=\S* )*(?:{'|'.join(PROGRAMS)}|export) ")
_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)


def documents() -> list[Path]:
    """Return every Markdown file that the project shows to people."""
    folders = [
        ROOT / name for name in ("docs", "plugins", "demo", "tests/parity/kit", "examples", "benchmarks")
    ]
    found = [path for folder in folders for path in folder.rglob("*.md")]
    return sorted([*ROOT.glob("*.md"), *found])


@dataclass(frozen=True)
class Block:
    """A code block.

    Attributes:
        place: Document and line, for messages.
        document: The file.
        language: ``shell``, ``python``, ``toml``, ``yaml`` or ``text``.
        text: The code, without its indentation.
    """

    place: str
    document: Path
    language: str
    text: str


@dataclass(frozen=True)
class Span:
    """A piece of text with its place."""

    place: str
    document: Path
    text: str


@dataclass(frozen=True)
class Table:
    """A table: the cells of its first line, and of the others, as Markdown."""

    place: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Call:
    """A command line.

    Attributes:
        place: Document and line, for messages.
        document: The file.
        words: Program and arguments, as the shell passes them.
        whole: Whether it stands in a block, to be typed as it is, and not within a sentence.
    """

    place: str
    document: Path
    words: tuple[str, ...]
    whole: bool

    def __str__(self) -> str:
        return f"{self.place}: {shlex.join(self.words)}"


def _place(document: Path, line: int) -> str:
    return f"{document.relative_to(ROOT)}:{line}"


@cache
def _parsed(document: Path) -> tuple[tuple[Block, ...], str]:
    """Return a document's blocks, and its text with their lines left empty."""
    blocks: list[Block] = []
    prose: list[str] = []
    lines = document.read_text(encoding="utf-8").splitlines()
    number = 0
    while number < len(lines):
        line = lines[number]
        end = number + 1
        if line.startswith("```"):
            while not lines[end].startswith("```"):
                end += 1
            code, end = lines[number + 1 : end], end + 1
            language = {"sh": "shell", "bash": "shell", "": "text"}.get(line[3:].strip(), line[3:].strip())
            blocks.append(Block(_place(document, number + 1), document, language, "\n".join(code) + "\n"))
        elif line.startswith("    ") and (number == 0 or not lines[number - 1].strip()):
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
                end += 1
            while not lines[end - 1].strip():
                end -= 1
            text = "\n".join(line[4:] for line in lines[number:end]) + "\n"
            blocks.append(Block(_place(document, number + 1), document, _language(text), text))
        else:
            prose.append(line)
            number = end
            continue
        prose += [""] * (end - number)
        number = end
    return tuple(blocks), "\n".join(prose)


def _language(text: str) -> str:
    if any(_SHELL.match(line) for line in text.splitlines()):
        return "shell"
    if re.match(r"\[[\w.-]+\]\n", text):
        return "toml"
    if re.search(r"^[\w-]+: ?[\w{\[]?", text, re.MULTILINE) and re.match(r"[\w-]+:( |$)", text, re.MULTILINE):
        return "yaml"
    try:
        ast.parse(text)
    except SyntaxError:
        return "text"
    return "python"


def blocks(language: str | None = None) -> list[Block]:
    """Return the code blocks of all documents."""
    found = [block for document in documents() for block in _parsed(document)[0]]
    return [block for block in found if language in (None, block.language)]


def prose(document: Path) -> str:
    """Return a document's text without its code blocks."""
    return _parsed(document)[1]


def spans(document: Path) -> Iterator[Span]:
    """Yield the code spans of a document's text."""
    text = prose(document)
    for match in _SPAN.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        yield Span(_place(document, line), document, " ".join(match[2].split()))


def links(document: Path) -> Iterator[Span]:
    """Yield the targets of a document's links and images that lie in the project."""
    text = _SPAN.sub("", prose(document))
    for match in re.finditer(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:", match[1]):
            yield Span(_place(document, text.count("\n", 0, match.start()) + 1), document, match[1])


def tables(document: Path) -> Iterator[Table]:
    """Yield the tables of a document."""
    lines = prose(document).splitlines()
    for number, line in enumerate(lines):
        if re.fullmatch(r"\|(\s*:?-+:?\s*\|)+", line):
            rows = []
            for row in lines[number + 1 :]:
                if not row.startswith("|"):
                    break
                rows.append(_cells(row))
            yield Table(_place(document, number), _cells(lines[number - 1]), tuple(rows))


def table(document: str, first: str) -> Table:
    """Return a document's table whose first header is this one."""
    (found,) = [found for found in tables(ROOT / document) if found.header[0] == first]
    return found


def code(cell: str) -> list[str]:
    """Return the code spans of a cell."""
    return [match[2] for match in _SPAN.finditer(cell)]


def _cells(row: str) -> tuple[str, ...]:
    return tuple(cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", row.strip()[1:-1]))


@cache
def calls() -> tuple[Call, ...]:
    """Return every call of ``PROGRAMS`` in the documents' blocks and sentences, and in the justfile."""
    found: list[Call] = []
    for block in [*blocks("shell"), *recipes()]:
        words = shell_calls(block.text, block.place)
        found += [Call(block.place, block.document, each, whole=True) for each in words]
    for document in documents():
        for span in spans(document):
            if (
                span.text.split(" ")[0] in PROGRAMS
                and " " in span.text
                and "=" not in span.text.split(" ")[1]
            ):
                words = tuple(shlex.split(span.text))
                found.append(Call(span.place, document, words, whole=False))
    return tuple(found)


def recipes() -> list[Block]:
    """Return the recipes of the justfile as shell blocks, without what stands for their arguments."""
    found = []
    lines = JUSTFILE.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        if re.match(r"[a-z][\w-]*( \*\w+)?:$", line):
            body = itertools.takewhile(lambda each: each.startswith("    "), lines[number:])
            text = "".join(re.sub(r"\{\{.*?\}\}", "", each[4:]) + "\n" for each in body)
            found.append(Block(_place(JUSTFILE, number), JUSTFILE, "shell", text))
    return found


def shell_calls(script: str, place: str) -> list[tuple[str, ...]]:
    """Have a shell read a script in which it can call nothing but functions; return what it would call."""
    bash = shutil.which("bash")
    assert bash, "bash reads the shell blocks of the documents"
    stand_ins = "".join(
        f'{name}() {{ printf "%s\\037" {name} "$@" >&3; printf "\\036" >&3; }}\n' for name in PROGRAMS
    )
    assert subprocess.run([bash, "-n"], input=script, text=True, capture_output=True).returncode == 0, place
    done = subprocess.run(
        [bash, "-c", f"exec 3>&1 >/dev/null\n{stand_ins}{script}"],
        capture_output=True,
        text=True,
        env={"PATH": "/nonexistent"},
        check=False,
    )
    return [tuple(call.split("\037")[:-1]) for call in done.stdout.split("\036")[:-1]]
