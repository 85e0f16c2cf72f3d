"""Names of the files that come of images: no two images of a run share one, on any file system."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path

LONGEST = 128
"""Bytes of a name; what comes behind it has to fit, too, into the 143 bytes that encrypted folders allow."""


class OutputNames:
    """A name per image in one folder: its stem, with a number where others have it.

    The names are a function of the whole list, so that a run that goes on gives the same ones.

    Attributes:
        folder: The folder.
    """

    def __init__(self, folder: Path, paths: Iterable[Path]) -> None:
        """Name all images.

        Args:
            folder: Where their files go.
            paths: The images of the run, each once.
        """
        self.folder = folder
        self._names: dict[Path, str] = {}
        taken: set[str] = set()
        repeated = []
        # An image whose own stem looks like another one's number keeps it.
        for path in paths:
            name = _safe(path.stem)
            if _key(name) in taken:
                repeated.append((path, name))
            else:
                taken.add(_key(name))
                self._names[path] = name
        for path, name in repeated:
            number = 2
            while _key(f"{name}-{number}") in taken:
                number += 1
            taken.add(_key(f"{name}-{number}"))
            self._names[path] = f"{name}-{number}"

    def base(self, path: Path) -> str:
        """Return the name of an image, which no other one has in any mixture of upper and lower case."""
        return self._names[path]


def _key(name: str) -> str:
    """Return what names have in common that some file system takes for one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _safe(stem: str) -> str:
    """Return a stem as text that can be printed, and short enough."""
    text = "".join(c if c.isprintable() else _escaped(c) for c in stem)
    data = text.encode()
    if len(data) <= LONGEST:
        return text
    mark = hashlib.sha256(os.fsencode(stem)).hexdigest()[:8]
    return f"{data[: LONGEST - len(mark) - 1].decode(errors='ignore')}-{mark}"


def _escaped(character: str) -> str:
    return "".join(f"%{byte:02x}" for byte in os.fsencode(character))
