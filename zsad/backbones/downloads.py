"""What lies in place of a file of tensors after a failed download. No torch here."""

from __future__ import annotations

import json
import struct
import zipfile
from pathlib import Path

from zsad.errors import InputError

_HEAD = 4096
_LFS = b"version https://git-lfs.github.com/spec/"
_PAGE = (b"<!doctype", b"<html", b"<head", b"<?xml", b"<!--", b"<script")
_ARCHIVES = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!": "rar",
}
_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
_AGAIN = "the download failed; fetch the file again"


def check_download(path: Path, kind: str = "a readable file of tensors") -> None:
    """Refuse a file that is no file of tensors at all, by what it is instead.

    Only the beginning is read, and a size compared; what passes may still be damaged or hold something else.

    Args:
        path: The file.
        kind: What it should be.

    Raises:
        InputError: It is a Git LFS pointer, a web page, another text, an archive, empty or cut off; or it
            cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
        size = path.stat().st_size
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    if found := _instead(path, head, size):
        raise InputError(f"{path} is not {kind}: it is {found}")


def holds_safetensors(path: Path) -> bool:
    """Whether a file begins as safetensors does, whatever its name ends in.

    Raises:
        InputError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return _is_safetensors(file.read(9))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def looks_pickled(path: Path) -> bool:
    """Whether a file begins as torch's files do: a zip archive or a pickle."""
    with path.open("rb") as file:
        return file.read(4).startswith((_ZIP, _PICKLE))


def _instead(path: Path, head: bytes, size: int) -> str | None:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not size:
        return f"an empty file ({_AGAIN})"
    if head.startswith(_LFS):
        return (
            "a Git LFS pointer (the download failed: a pointer stands for a file that was not fetched; run "
            "'git lfs pull' where it comes from, or download the file by its own link)"
        )
    if b"/annex/objects/" in head[:256]:
        return "a git-annex pointer (the download failed: run 'git annex get' where it comes from)"
    if start.startswith(_PAGE):
        return (
            "a web page (the download failed: a host has answered with a warning, a login or an error; fetch "
            "the file again, in a browser if need be)"
        )
    for magic, name in _ARCHIVES.items():
        if head.startswith(magic):
            return f"an archive ({name}; unpack it and name the file in it)"
    if head.startswith(_ZIP):
        return _zip_instead(path)
    if _is_safetensors(head):
        return _cut_off(path, head, size)
    return "a text file" if _is_text(head) else None


def _zip_instead(path: Path) -> str | None:
    """Return what is wrong with a zip archive, as which torch stores tensors."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return f"a truncated or damaged archive ({_AGAIN})"
    if not any(name.endswith(("/data.pkl", "/constants.pkl")) for name in names):
        return "a zip archive of other files (unpack it and name the file in it)"
    return None


def _is_safetensors(head: bytes) -> bool:
    return len(head) > 8 and head[8:9] == b"{" and 2 <= struct.unpack("<Q", head[:8])[0] < 100_000_000


def _cut_off(path: Path, head: bytes, size: int) -> str | None:
    """Return that a safetensors file ends too early, if its header says so."""
    length = struct.unpack("<Q", head[:8])[0]
    whole = 8 + length
    if size >= whole:
        try:
            with path.open("rb") as file:
                file.seek(8)
                entries = json.loads(file.read(length))
            ends = [entry["data_offsets"][1] for name, entry in entries.items() if name != "__metadata__"]
            whole += max(ends, default=0)
        except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError):
            return None  # safetensors' own sentence says what is wrong
    return f"truncated (it has {size:,} of {whole:,} bytes: {_AGAIN})" if size < whole else None


def _is_text(head: bytes) -> bool:
    try:
        text = head[: _HEAD - 4].decode("utf-8")
    except UnicodeDecodeError:
        return False
    return all(letter.isprintable() or letter.isspace() for letter in text)
