"""Zip archives from strangers: read within limits, and written only under names of our own."""

from __future__ import annotations

import errno
import io
import re
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from zsad.data.left_out import LeftOut
from zsad.data.names import no_image, no_place
from zsad.data.outputs import PREDICTIONS, WRITTEN, named_outputs
from zsad.errors import InputError
from zsad_demo.uploads import shown_name

_ARCHIVES = (".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst")
_ENCRYPTED = 0x1
_DRIVE = re.compile("[A-Za-z]:")
_CHUNK = 1 << 16
_RECORD = 1 << 20
_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EMFILE)


@dataclass(frozen=True)
class Limits:
    """What an archive may hold.

    Attributes:
        files: Entries that are looked at.
        file_bytes: Size of one of them, unpacked.
        total_bytes: Size of all of them, unpacked.
        list_bytes: Size of the list of entries, which zipfile reads as a whole.
    """

    files: int = 200
    file_bytes: int = 40_000_000
    total_bytes: int = 400_000_000
    list_bytes: int = 2_000_000


@dataclass(frozen=True)
class Unpacked:
    """An image of an archive.

    Attributes:
        name: Its name there, for people only.
        path: Where it lies now, or None where it was left out.
        reason: Why it was left out, or an empty string.
    """

    name: str
    path: Path | None
    reason: str = ""


@dataclass(frozen=True)
class Contents:
    """What an archive holds; every entry but folders is in one of the two.

    Attributes:
        images: Images, and archives that may hold some.
        left_out: All else, by the rule that holds for folders of images, too.
    """

    images: list[Unpacked]
    left_out: tuple[LeftOut, ...]


def unpack(archive: Path, name: str, folder: Path, limits: Limits) -> Contents:
    """Write the images of a zip archive into a folder, numbered: no name of the archive becomes a path.

    What looks like an attack or cannot be read is named among the images, with its reason.

    Args:
        archive: The file.
        name: What the visitor calls it.
        folder: Where to, empty.
        limits: What it may hold.

    Raises:
        InputError: No zip archive, or above the limits.
    """
    try:
        with archive.open("rb") as stream, zipfile.ZipFile(_Sparing(stream, limits.list_bytes)) as opened:
            wanted, left_out = _sorted(opened)
            return Contents(list(_images(opened, wanted, name, folder, limits)), left_out)
    except InputError:
        raise
    except _TooLarge:
        raise InputError(f"'{name}' lists too many files; at most {limits.files} are taken at once") from None
    except Exception as error:
        # Damaged archives make zipfile raise nearly anything: BadZipFile, struct.error, NotImplementedError.
        if _is_ours(error):
            raise
        raise InputError(f"cannot read '{name}': it is no zip archive, or a damaged one") from error


def _sorted(opened: zipfile.ZipFile) -> tuple[list[zipfile.ZipInfo], tuple[LeftOut, ...]]:
    """Return the entries to look at, and the others with the reasons."""
    files = [entry for entry in opened.infolist() if not entry.is_dir()]
    ours = {path for entry in files for path in _outputs(opened, entry)}
    wanted, left_out = [], []
    for entry in files:
        path = _path(entry)
        reason = no_place(path) or (WRITTEN if path in ours else no_image(path.name))
        if reason and path.suffix.lower() not in _ARCHIVES:
            left_out.append(LeftOut(Path(shown_name(entry.filename)), reason))
        else:
            wanted.append(entry)
    return wanted, tuple(left_out)


def _outputs(opened: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[PurePosixPath]:
    """Yield the record of a prediction and the entries that it names as zsad's own."""
    path = _path(entry)
    if path.name in PREDICTIONS and not entry.flag_bits & _ENCRYPTED:
        for written in named_outputs(lambda: _start(opened, entry)):
            yield from (path, path.with_name(written))


def _start(opened: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Return a record; one that is damaged or too long to be of a few images names nothing."""
    try:
        with opened.open(entry) as source:
            found = source.read(_RECORD + 1)
    except Exception as error:
        if _is_ours(error):
            raise
        return b""
    return found if len(found) <= _RECORD else b""


def _images(
    opened: zipfile.ZipFile, entries: list[zipfile.ZipInfo], name: str, folder: Path, limits: Limits
) -> Iterator[Unpacked]:
    if len(entries) > limits.files:
        raise InputError(f"'{name}' holds {len(entries)} files; at most {limits.files} are taken at once")
    if sum(entry.file_size for entry in entries) > limits.total_bytes:
        raise _too_much(name, limits)
    left = limits.total_bytes
    for number, entry in enumerate(entries):
        shown = shown_name(entry.filename)
        if reason := _refusal(entry):
            yield Unpacked(shown, None, reason)
            continue
        target = folder / f"{number:05}"
        try:
            left -= _write(opened, entry, target, min(limits.file_bytes, left))
        except _TooLarge:
            target.unlink(missing_ok=True)
            if left < limits.file_bytes:
                raise _too_much(name, limits) from None
            yield Unpacked(shown, None, f"unpacks to more than {limits.file_bytes // 10**6} MB")
        except Exception as error:
            target.unlink(missing_ok=True)
            if _is_ours(error):
                raise
            yield Unpacked(shown, None, "it is damaged, or packed in an unknown way")
        else:
            yield Unpacked(shown, target)


def _is_ours(error: Exception) -> bool:
    """Whether this machine is at fault for an error, and not the archive."""
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _MACHINE)


def _too_much(name: str, limits: Limits) -> InputError:
    return InputError(f"'{name}' unpacks to more than {limits.total_bytes // 10**6} MB; send fewer images")


class _TooLarge(Exception):
    """An entry has more bytes than are left, or the list of entries is too long."""


class _Sparing(io.BufferedReader):
    """A file that gives no more than so many bytes at once.

    An archive's list of entries is the one thing that zipfile reads at once: a million entries would take
    seconds and half a gigabyte before anybody could count them.
    """

    def __init__(self, raw: io.BufferedReader, most: int) -> None:
        super().__init__(raw)
        self._most = most

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > self._most:
            raise _TooLarge
        return super().read(size)


def _write(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, limit: int) -> int:
    """Unpack an entry and return its size; what its header says of the size is not believed."""
    written = 0
    with opened.open(entry) as source, target.open("xb") as sink:
        while chunk := source.read(_CHUNK):
            written += len(chunk)
            if written > limit:
                raise _TooLarge
            sink.write(chunk)
    return written


def _path(entry: zipfile.ZipInfo) -> PurePosixPath:
    return PurePosixPath(entry.filename.replace("\\", "/"))


def _refusal(entry: zipfile.ZipInfo) -> str:
    """Return why an entry is not taken, or an empty string."""
    path = _path(entry)
    if path.is_absolute() or ".." in path.parts or _DRIVE.match(entry.filename):
        return "its path leads out of the archive"
    if stat.S_ISLNK(entry.external_attr >> 16):
        return "it is a link"
    if path.suffix.lower() in _ARCHIVES:
        return "it is an archive inside an archive"
    if entry.flag_bits & _ENCRYPTED:
        return "it is encrypted"
    return ""
