"""Find the file that a path written in a list means, whoever wrote the list."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from zsad.data.names import composed
from zsad.errors import InputError

_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


def file_named(folder: Path, text: str, where: str) -> Path:
    r"""Return the file that a path written in a list names.

    Tried in this order, until a file is there: the path as written, relative to the folder or absolute; with
    ``\\`` as ``/``; and of an absolute path, as lists have it that were made elsewhere, what follows the name
    of the folder. In each, names match whether accents are written in one character or in two.

    Args:
        folder: The folder that the path is relative to.
        text: The path as written.
        where: File and line, for the error.

    Raises:
        InputError: If there is no such file.
    """
    for path in _readings(folder, text):
        if (found := _found(path)) is not None:
            return found
    raise InputError(f"{where}: no file '{text}' in folder '{folder}'")


def require_regular(file: Path) -> None:
    """See that a list is a file with an end, before it is read.

    Raises:
        InputError: It is missing, or a folder, a device or a pipe.
    """
    try:
        mode = file.stat().st_mode
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read '{file}': {getattr(error, 'strerror', None) or error}") from error
    if not stat.S_ISREG(mode):
        raise InputError(f"cannot read '{file}': it is not a regular file")


def _readings(folder: Path, text: str) -> Iterator[Path]:
    for written in dict.fromkeys((text, text.replace("\\", "/"))):
        yield Path(os.path.normpath(folder / written)) if written else folder
    parts = text.replace("\\", "/").split("/")
    if os.path.isabs(text) or _DRIVE.match(text):
        for place in range(len(parts) - 1, 0, -1):
            if composed(parts[place - 1]) == composed(folder.name):
                yield Path(os.path.normpath(folder.joinpath(*parts[place:])))


def _found(path: Path) -> Path | None:
    try:
        if path.is_file():
            return path
        if path.name.isascii() and path.parent.is_dir():
            return None
        twin = _twin(path)
        return twin if twin is not None and twin.is_file() else None
    except (OSError, ValueError):  # names that are too long or hold a null byte
        return None


def _twin(path: Path) -> Path | None:
    """Return what is there under the same name but for the form of its accents."""
    if path.exists():
        return path
    above = None if path.parent == path else _twin(path.parent)
    if above is None or not above.is_dir():
        return None
    name = composed(path.name)
    return next((above / entry for entry in sorted(os.listdir(above)) if composed(entry) == name), None)
