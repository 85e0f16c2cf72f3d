"""One run at a time in a folder: two would mix their files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zsad.errors import InputError

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None  # type: ignore[assignment]


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Keep other processes from claiming a folder; the end of this one, however it comes, gives it free.

    The folder itself is locked, so that no file of a broken run has to be removed. Where the system cannot do
    that, nothing is claimed.

    Raises:
        InputError: Another process has claimed it.
    """
    if fcntl is None:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"--out {folder}: another run is training into this folder; wait for its end, or name another"
            ) from error
        except OSError:  # a network's file system may know no locks
            pass
        yield
    finally:
        os.close(descriptor)
