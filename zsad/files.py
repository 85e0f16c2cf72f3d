"""Files that are there completely or not at all."""

from __future__ import annotations

import errno
import io
import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from zsad.errors import InputError, ZsadError

_MENDS = {
    errno.EACCES: "permission denied; write to another folder or change its permissions",
    errno.EPERM: "permission denied; write to another folder or change its permissions",
    errno.EROFS: "the file system is read-only; write to another folder",
    errno.ENOSPC: "no space left; free some or write to another folder",
    errno.EDQUOT: "the disk quota is used up; free some space or write to another folder",
    errno.ENOTDIR: "a part of the path is a file; write to another folder",
    errno.EEXIST: "a file is in the folder's place; write to another folder",
}

CACHE = "ZSAD_CACHE"
"""Environment variable that names the cache folder."""


def cache_folder() -> Path:
    """Return where zsad keeps what it can make again: ``$ZSAD_CACHE``, or ``zsad`` in the user's cache.

    Raises:
        ZsadError: If neither is set and the user has no home.
    """
    if named := os.environ.get(CACHE):
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(base):  # the XDG specification has relative ones ignored
        return Path(base) / "zsad"
    try:
        return Path.home() / ".cache" / "zsad"
    except RuntimeError as error:
        raise ZsadError(
            f"no home folder for the cache: set {CACHE} to a folder that can be written"
        ) from error


def atomic_write(path: str | os.PathLike[str], writer: Callable[[BinaryIO], object]) -> None:
    """Write a file so that a reader, or a crash, sees the former file or the new one and nothing between.

    Missing folders above the file are made. An error or an interrupt in ``writer`` leaves the former file
    as it was, and no other file behind.

    Args:
        path: The file to write or replace.
        writer: Is called with a binary stream and writes all content to it.

    Raises:
        ZsadError: If the file cannot be written: names the folder, the reason and the mend.
    """
    target = Path(path)
    # In the same folder, because a rename is atomic only within one file system.
    temporary = target.parent / f".{secrets.token_hex(8)}.tmp"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as stream:
                writer(stream)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ZsadError(
            f"cannot write '{target.name}' in folder '{target.parent}': {_reason(error)}"
        ) from error


def _reason(error: OSError) -> str:
    return _MENDS.get(error.errno or 0) or error.strerror or str(error)


def check_writable(folder: str | os.PathLike[str]) -> None:
    """Make a folder and see that files can be written there, without touching what it holds.

    Raises:
        InputError: A file is in its place, or in that of a folder above it.
        ZsadError: The folder cannot be made or written to: names it, the reason and the mend.
    """
    probe = Path(folder) / f".{secrets.token_hex(8)}.tmp"
    try:
        probe.parent.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        kind = InputError if error.errno in (errno.ENOTDIR, errno.EEXIST) else ZsadError
        raise kind(f"cannot write in folder '{folder}': {_reason(error)}") from error


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write UTF-8 text atomically; undecodable bytes of a file name come out as escapes."""
    data = text.encode("utf-8", errors="backslashreplace")
    atomic_write(path, lambda stream: stream.write(data))


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write indented JSON atomically.

    Raises:
        ValueError: If ``value`` has NaN or infinity, which JSON cannot say: use None for what is undefined.
        TypeError: If ``value`` has something else that JSON cannot say.
        ZsadError: As ``atomic_write``.
    """
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_npy(path: str | os.PathLike[str], array: npt.NDArray[Any]) -> None:
    """Write an array as ``.npy`` atomically, never with pickled objects.

    Raises:
        ValueError: If the array holds objects.
        ZsadError: As ``atomic_write``.
    """
    # Straight to a file, numpy would hide why a write failed.
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    atomic_write(path, lambda stream: stream.write(buffer.getbuffer()))


def write_png(path: str | os.PathLike[str], image: npt.NDArray[np.uint8]) -> None:
    """Write a PNG atomically.

    Args:
        path: The file to write or replace.
        image: [H, W] grey or [H, W, 3] RGB.

    Raises:
        ZsadError: As ``atomic_write``.
    """
    from PIL import Image

    picture = Image.fromarray(image)
    # Several times faster than the default level, and hardly larger for pictures.
    atomic_write(path, lambda stream: picture.save(stream, format="PNG", compress_level=1))
