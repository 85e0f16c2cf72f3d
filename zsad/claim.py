"""One writer at a time in a folder: two would mix their files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zsad.errors import InputError
from zsad.files import check_writable

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None  # type: ignore[assignment]

_held: set[int] = set()


@contextmanager
def claimed(folder: Path, work: str) -> Iterator[None]:
    """Keep other processes from claiming a folder; the end of this one, however it comes, gives it free.

    The folder itself is locked, so that no file of a broken run has to be removed. Where the system cannot do
    that, nothing is claimed.

    Args:
        folder: The folder; it is made.
        work: What a run does with it, for whoever comes second: "training into".

    Raises:
        InputError: Another process has claimed it.
        ZsadError: It cannot be made or written to.
    """
    check_writable(folder)
    if fcntl is None:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"--out {folder}: another run is {work} this folder; wait for its end, or name another"
            ) from error
        except OSError:  # a network's file system may know no locks
            pass
        _held.add(descriptor)
        yield
    finally:
        _held.discard(descriptor)
        os.close(descriptor)


def _let_go() -> None:
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    # A worker that outlives its killed parent by a moment would keep the folder claimed.
    os.register_at_fork(after_in_child=_let_go)
