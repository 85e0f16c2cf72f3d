"""What files hold, as hashes: every byte counts, and none is read twice without need.

Hashes are kept in the user's cache folder, by path, size and times in nanoseconds. The time of the last
change of status counts beside that of modification, which anybody can set back. A file that was written a
moment ago is hashed again the next time: clocks of file systems are coarse, and it could change again within
one tick.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from zsad.errors import InputError, ZsadError
from zsad.files import cache_folder

FILE = "contents.sqlite"
SETTLED = 2_000_000_000
"""Nanoseconds since the last change after which a file's times tell it from what it was before."""

_TABLE = "CREATE TABLE IF NOT EXISTS contents (path BLOB PRIMARY KEY, stamp TEXT, sha256 TEXT)"


class _Stamp(NamedTuple):
    """What of a file changes whenever its content does."""

    size: int
    modified: int
    changed: int

    @classmethod
    def of(cls, found: os.stat_result) -> _Stamp:
        return cls(found.st_size, found.st_mtime_ns, found.st_ctime_ns)

    def __str__(self) -> str:
        return " ".join(map(str, self))


def contents(paths: Iterable[Path]) -> dict[Path, str]:
    """Return size and sha256 of files, ``"70:9f86..."``, by path.

    Several threads read; hashing leaves the interpreter's lock free.

    Raises:
        InputError: If a file cannot be read.
    """
    wanted = dict.fromkeys(paths)
    with _kept() as kept, ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
        stamps = {path: _stamp(path) for path in wanted}
        known = {path: found for path in wanted if (found := kept.find(path, stamps[path])) is not None}
        missing = [path for path in wanted if path not in known]
        for path, digest in zip(missing, threads.map(_digest, missing), strict=True):
            known[path] = digest
            kept.keep(path, stamps[path], digest)
    return {path: f"{stamps[path].size}:{known[path]}" for path in wanted}


def content(path: Path) -> str:
    """Return size and sha256 of one file, read anew.

    Raises:
        InputError: If it cannot be read.
    """
    return f"{_stamp(path).size}:{_digest(path)}"


def _stamp(path: Path) -> _Stamp:
    try:
        return _Stamp.of(path.stat())
    except OSError as error:
        raise InputError(f"cannot read '{path}': {error.strerror or error}") from error


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot read '{path}': {error.strerror or error}") from error


class _Kept:
    """The hashes of former times. A cache that does not work costs time and nothing else."""

    def __init__(self, database: sqlite3.Connection | None) -> None:
        self._database = database
        self._new: list[tuple[bytes, str, str]] = []

    def find(self, path: Path, stamp: _Stamp) -> str | None:
        """Return the hash of a file that is as it was, or None."""
        if self._database is None:
            return None
        try:
            row = self._database.execute(
                "SELECT sha256 FROM contents WHERE path = ? AND stamp = ?", (_key(path), str(stamp))
            ).fetchone()
        except sqlite3.Error:
            return None
        return None if row is None else str(row[0])

    def keep(self, path: Path, stamp: _Stamp, digest: str) -> None:
        """Note a hash, of a file that has been as it is for a while and stayed so while it was read."""
        settled = time.time_ns() - max(stamp.modified, stamp.changed) > SETTLED
        if settled and _stamp(path) == stamp:
            self._new.append((_key(path), str(stamp), digest))

    def write(self) -> None:
        """Write what was noted."""
        if self._database is None or not self._new:
            return
        try:
            with self._database:
                self._database.executemany("INSERT OR REPLACE INTO contents VALUES (?, ?, ?)", self._new)
        except sqlite3.Error:
            pass


@contextmanager
def _kept() -> Iterator[_Kept]:
    try:
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(folder / FILE, timeout=5)
    except (OSError, ZsadError, sqlite3.Error):
        yield _Kept(None)
        return
    with closing(database):
        try:
            database.execute(_TABLE)
        except sqlite3.Error:  # damaged, or of something else
            yield _Kept(None)
            return
        kept = _Kept(database)
        try:
            yield kept
        finally:
            kept.write()  # what was hashed before an interrupt need not be hashed again


def _key(path: Path) -> bytes:
    return os.fsencode(os.path.abspath(path))
