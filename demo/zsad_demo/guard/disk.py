"""Room on the disk: a share for every visitor and a limit in all, and what was unused for longest goes."""

from __future__ import annotations

import os
import shutil
import threading
import time
from dataclasses import dataclass
from pathlib import Path

PER_VISITOR = 800_000_000
IN_ALL = 4_000_000_000
"""Most bytes that are kept."""
AT_ONCE = 210_000_000
"""Largest request that brings files, in bytes."""


@dataclass(frozen=True)
class _Kept:
    name: str
    size: int
    used: float


class Disk:
    """The folder of uploads and made files, whose entries come and go as a whole. Thread-safe.

    Attributes:
        folder: Where they lie, without links.
        per_visitor: Most bytes of one visitor.
        in_all: Most bytes of all.
    """

    def __init__(self, folder: Path, per_visitor: int = PER_VISITOR, in_all: int = IN_ALL) -> None:
        """Take a folder; what lies in it already is the app's own and stays."""
        self.folder = folder.resolve()
        self.per_visitor, self.in_all = per_visitor, in_all
        self._own = {entry.name for entry in os.scandir(self.folder)} if self.folder.is_dir() else set()
        self._owners: dict[str, str] = {}
        self._used: dict[str, float] = {}
        self._lock = threading.Lock()

    def give(self, path: Path, visitor: str) -> None:
        """Count the entry that a path lies in as a visitor's."""
        if name := self._entry(path):
            with self._lock:
                self._owners[name] = visitor
                self._used[name] = time.time()

    def touch(self, path: Path) -> None:
        """Note that a file was used."""
        if name := self._entry(path):
            with self._lock:
                self._used[name] = time.time()

    def make_room(self, visitor: str, coming: int = 0) -> None:
        """Remove what was unused for longest until there is room, first the visitor's own.

        The newest entry stays: it is what the visitor waits for.

        Args:
            visitor: Who sends or made something.
            coming: Bytes that are on their way.
        """
        with self._lock:
            kept = sorted(self._kept(), key=lambda entry: entry.used)
            own = [entry for entry in kept if self._owners.get(entry.name) == visitor]
            gone = self._shrink(own, self.per_visitor - coming)
            self._shrink([entry for entry in kept if entry.name not in gone], self.in_all - coming)

    def _shrink(self, oldest_first: list[_Kept], limit: int) -> set[str]:
        held, gone = sum(entry.size for entry in oldest_first), set[str]()
        for entry in oldest_first[:-1]:
            if held <= limit:
                break
            shutil.rmtree(self.folder / entry.name, ignore_errors=True)
            self._owners.pop(entry.name, None)
            self._used.pop(entry.name, None)
            held -= entry.size
            gone.add(entry.name)
        return gone

    def _kept(self) -> list[_Kept]:
        if not self.folder.is_dir():
            return []
        found = []
        for entry in os.scandir(self.folder):
            if entry.name in self._own or not entry.is_dir(follow_symlinks=False):
                continue
            size, changed = _measured(Path(entry.path))
            found.append(_Kept(entry.name, size, max(changed, self._used.get(entry.name, 0.0))))
        return found

    def _entry(self, path: Path) -> str:
        try:
            parts = path.resolve().relative_to(self.folder).parts
        except (OSError, ValueError):
            return ""
        return parts[0] if parts else ""


def _measured(folder: Path) -> tuple[int, float]:
    """Return the bytes in a folder, and when the last of it was written."""
    size, changed = 0, 0.0
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                status = os.lstat(os.path.join(where, name))
            except OSError:  # it went meanwhile
                continue
            size, changed = size + status.st_size, max(changed, status.st_mtime)
    return size, changed
