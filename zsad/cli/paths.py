"""Files and folders as words of a command line."""

from __future__ import annotations

import os
from pathlib import Path

import typer

from zsad.errors import InputError


def path(text: str | Path) -> Path:
    """Return a path; ``~`` is the home folder, also where the shell leaves it (``--out=~/x``).

    Raises:
        typer.BadParameter: It is empty, which Python would take for the present folder.
    """
    if not str(text).strip():
        raise typer.BadParameter("it is empty; name a file or a folder")
    if "\0" in str(text):
        raise typer.BadParameter("a path has no null character")
    return Path(os.path.expanduser(text))


def sentences(given: list[str] | None, option: str) -> tuple[str, ...]:
    """Return the sentences of an option that may be given several times; ``@FILE`` holds one a line.

    Args:
        given: Sentences, or ``@FILE``. In a file, empty lines and those that begin with ``#`` do not count.
        option: Name of the option, for messages.

    Raises:
        InputError: A file that cannot be read as text or holds none, or an empty sentence.
    """
    found: list[str] = []
    for text in given or ():
        found += _lines(text[1:], f"{option} {text}") if text.startswith("@") else [text.strip()]
    if not all(found):
        raise InputError(f"{option}: a sentence is empty; write one, or leave the option out")
    return tuple(found)


def _lines(file: str, named: str) -> list[str]:
    try:
        text = path(file).read_text(encoding="utf-8-sig")
    except (OSError, typer.BadParameter) as error:
        why = getattr(error, "strerror", None) or "it is empty; write @FILE"
        raise InputError(f"{named}: the file cannot be read: {why.lower()}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{named}: the file is no text in UTF-8") from error
    lines = [line.strip() for line in text.splitlines()]
    found = [line for line in lines if line and not line.startswith("#")]
    if not found:
        raise InputError(f"{named}: the file holds no sentence; write one a line")
    return found
