"""What readers of dataset layouts share: listing folders, pairing masks, paths written in a file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from zsad.data.images import SUFFIXES
from zsad.data.order import natural_key
from zsad.errors import InputError

MASK_ENDINGS = ("_mask", "-mask", "_gt", "-gt", "_label", "-label", "_ground_truth")
"""What the stem of a mask may have after its image's stem, in any mixture of upper and lower case."""

NORMAL_NAMES = ("good", "normal", "ok")
"""Names of folders with normal images, in any mixture of upper and lower case."""


def is_normal(folder: Path) -> bool:
    """Return whether a folder's name says that its images are normal."""
    return folder.name.lower() in NORMAL_NAMES


def require_folder(path: Path) -> Path:
    """Return ``path``, which has to be a folder, as an absolute path; links keep their names.

    Raises:
        InputError: If it is missing or a file.
    """
    if not path.is_dir():
        raise InputError(f"'{path}' is a file, not a folder" if path.exists() else f"no folder '{path}'")
    return Path(os.path.abspath(path))


def subfolders(folder: Path) -> list[Path]:
    """Return the visible folders in a folder, in natural order."""
    return [path for path in _visible(folder) if path.is_dir()]


def images_in(folder: Path) -> list[Path]:
    """Return the visible image files in a folder, not below it, in natural order."""
    return [path for path in _visible(folder) if path.name.lower().endswith(SUFFIXES) and path.is_file()]


def _visible(folder: Path) -> list[Path]:
    try:
        found = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise InputError(f"cannot read '{folder}': {error.strerror or error}") from error
    return sorted(found, key=lambda path: natural_key(path.name))


def pair_masks(images: Iterable[Path], masks: Iterable[Path]) -> dict[Path, Path]:
    """Return the mask of each image that has one, found by stem and never by order.

    A mask belongs to the image with the same stem; if there is none, to the image whose stem it has apart
    from one of ``MASK_ENDINGS``.

    Raises:
        InputError: A mask of no image or of several, or two masks of one image.
    """
    by_stem: dict[str, list[Path]] = {}
    for image in images:
        by_stem.setdefault(image.stem, []).append(image)
    paired: dict[Path, Path] = {}
    for mask in masks:
        stems = _stems(mask)
        owners = next((by_stem[stem] for stem in stems if stem in by_stem), [])
        if len(owners) > 1:
            raise InputError(f"mask '{mask}' could be of '{owners[0]}' or '{owners[1]}': they have one stem")
        if not owners:
            either = "' or '".join(stems)
            raise InputError(f"mask '{mask}' has no image: none has the stem '{either}'")
        if (former := paired.setdefault(owners[0], mask)) != mask:
            raise InputError(f"image '{owners[0]}' has two masks, '{former}' and '{mask}': keep one of them")
    return paired


def _stems(mask: Path) -> list[str]:
    """Return the stems that a mask's image may have, the likeliest first."""
    stem = mask.stem
    return [stem, *(stem[: -len(end)] for end in MASK_ENDINGS if stem.lower().endswith(end))]


def require_masks(images: Iterable[Path], paired: Mapping[Path, Path], where: Path) -> None:
    """See that every one of some anomalous images has a mask.

    Raises:
        InputError: If one has none: names it and the folder of masks.
    """
    bare = [image for image in images if image not in paired]
    if bare:
        more = f" (and {len(bare) - 1} more)" if len(bare) > 1 else ""
        raise InputError(
            f"image '{bare[0]}'{more} has no mask in '{where}', where others have one: "
            f"a mask has its image's stem, with or without '{MASK_ENDINGS[0]}'"
        )


def file_inside(folder: Path, text: str, where: str) -> Path:
    """Return the file that a path written in a manifest names.

    Args:
        folder: The folder that the path is relative to, and must not lead out of.
        text: The path as written.
        where: File and line, for the error.

    Raises:
        InputError: If it is absolute, leads out of the folder, or there is no such file.
    """
    relative = os.path.normpath(text)
    if os.path.isabs(text) or relative.split(os.sep)[0] == os.pardir:
        raise InputError(f"{where}: '{text}' leads out of folder '{folder}'; write a path relative to it")
    path = folder / relative
    try:
        found = path.is_file()
    except (OSError, ValueError):  # names that are too long or hold a null byte
        found = False
    if not found:
        raise InputError(f"{where}: no file '{text}' in folder '{folder}'")
    return path
