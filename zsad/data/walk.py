"""Find images in folders: the one walk of readers and commands, which says what it leaves out and why."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from zsad.data.left_out import LeftOut, left_out_words
from zsad.data.names import SUFFIXES, no_folder, no_image
from zsad.data.order import natural_key
from zsad.data.outputs import WRITTEN, own_outputs
from zsad.errors import InputError

DEAD = "a link to nothing"
ODD = "no regular file"
INSIDE = "a link back into the same folders"
AGAIN = "found under another name already"
CLOSED = "cannot be read"
OUT = "below the folder of --out"


@dataclass(frozen=True)
class Found:
    """Every file below some folders, in exactly one of two lists.

    Attributes:
        images: The image files, in natural order.
        left_out: All others; a link to a folder that is not followed stands for what lies behind it.
    """

    images: tuple[Path, ...]
    left_out: tuple[LeftOut, ...]


def walk(root: Path, *, out: Path | None = None, patient: bool = False) -> Found:
    """Look at everything below a folder.

    Folders come in natural order (``2.png`` before ``10.png``). Links to folders are followed, unless they
    lead back to the root, above it or below it. Hidden files, what systems leave behind and what zsad wrote
    are left out.

    Args:
        root: The folder, which may itself be hidden.
        out: A folder below that is left out.
        patient: Leave out a folder that cannot be read, where it would be refused.

    Raises:
        InputError: A folder cannot be read.
    """
    images: list[Path] = []
    left_out: list[LeftOut] = []
    for path, reason in _entries(root, out, patient):
        if reason:
            left_out.append(LeftOut(path, reason))
        else:
            images.append(path)
    return Found(tuple(images), tuple(left_out))


def find_images(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]], out: Path | None = None
) -> Found:
    """Find image files: those given, and those in the given folders and all folders below.

    A file given by name is taken whatever its suffix, unless zsad wrote it. Nothing is listed twice.

    Args:
        paths: Files and folders.
        out: A folder below them that is left out.

    Raises:
        InputError: A path is empty, does not exist or cannot be read, a folder holds no image, or no path is
            given.
    """
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if not given:
        raise InputError("no image was given: name at least one file or folder")
    images: dict[Path, None] = {}
    left_out: dict[LeftOut, None] = {}
    for item in given:
        if not os.fspath(item):
            raise InputError("an empty name was given for an image: write . for the current folder")
        found = _below(Path(item), out)
        images.update(dict.fromkeys(found.images))
        left_out.update(dict.fromkeys(found.left_out))
    if not images:
        raise InputError(f"no image is left: {left_out_words(list(left_out))}")
    return Found(tuple(images), tuple(entry for entry in left_out if entry.path not in images))


def unused(root: Path, used: Iterable[Path], reason: str, *, patient: bool = False) -> tuple[LeftOut, ...]:
    """Return what lies below the folder of a dataset and is not part of it.

    Args:
        root: The folder.
        used: The files that are.
        reason: Why an image is not.
        patient: As for :func:`walk`.

    Raises:
        InputError: As :func:`walk`.
    """
    paths = {os.path.abspath(path) for path in used}
    above = {parent for path in paths for parent in _parents(path)}
    real = {os.path.realpath(path) for path in paths}
    found = walk(root, patient=patient)
    rest = [image for image in found.images if os.path.abspath(image) not in paths]
    images = [LeftOut(image, AGAIN if os.path.realpath(image) in real else reason) for image in rest]
    # A link that the walk does not follow may still be how the dataset names its files.
    others = [entry for entry in found.left_out if os.path.abspath(entry.path) not in paths | above]
    return (*images, *others)


def _parents(path: str) -> Iterator[str]:
    while (parent := os.path.dirname(path)) != path:
        yield parent
        path = parent


def _below(path: Path, out: Path | None) -> Found:
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read '{path}': {getattr(error, 'strerror', None) or error}") from error
    if not is_folder:
        ours = own_outputs(path.parent, _names(path.parent))
        return Found((), (LeftOut(path, WRITTEN),)) if path.name in ours else Found((path,), ())
    found = walk(path, out=out)
    if not found.images:
        words = left_out_words(found.left_out)
        raise InputError(
            f"no image in folder '{path}' (looked for {' '.join(SUFFIXES)}){f'; {words}' if words else ''}"
        )
    return found


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:  # a folder whose files may be opened and not listed
        return []


def _entries(root: Path, out: Path | None, patient: bool) -> Iterator[tuple[Path, str]]:
    """Yield every file below a folder with the reason to leave it out, or an empty string."""
    home, skipped = os.path.realpath(root), None if out is None else os.path.realpath(out)
    visited: set[tuple[int, int]] = set()
    # A stack and not recursion: a path may have more folders than Python has frames.
    waiting: list[tuple[Path, str]] = [(root, "")]
    while waiting:
        path, reason = waiting.pop()
        kind = "folder" if path is root else _kind(path, patient or bool(reason))
        if kind != "folder":
            yield path, reason or kind or no_image(path.name)
            continue
        if path is not root:
            reason = reason or no_folder(path.name)
            if not reason and skipped is not None and os.path.realpath(path) == skipped:
                reason = OUT
            if path.is_symlink() and (why := reason or _loop(path, home)):
                yield path, why
                continue
        try:
            identity = os.stat(path)
            names = sorted(os.listdir(path), key=natural_key, reverse=True)
        except OSError as error:
            if reason or patient:
                yield path, reason or CLOSED
                continue
            raise InputError(f"cannot read '{path}': {error.strerror or error}") from error
        if (identity.st_dev, identity.st_ino) in visited:
            yield path, AGAIN
            continue
        visited.add((identity.st_dev, identity.st_ino))
        ours = own_outputs(path, set(names))
        waiting += [(path / name, reason or (WRITTEN if name in ours else "")) for name in names]


def _kind(path: Path, patient: bool) -> str:
    """Return ``folder``, an empty string for a file, or why it is neither."""
    try:
        mode = os.stat(path).st_mode
    except PermissionError as error:
        if not patient:
            raise InputError(f"cannot read '{path}': {error.strerror}") from error
        return CLOSED
    except OSError:  # gone, or a link in a circle
        return DEAD
    if stat.S_ISDIR(mode):
        return "folder"
    return "" if stat.S_ISREG(mode) else ODD


def _loop(path: Path, home: str) -> str:
    """Return why a link to a folder is not followed, or an empty string."""
    target = os.path.realpath(path)
    both = os.path.commonpath((target, home))
    return INSIDE if both in (target, home) else ""
