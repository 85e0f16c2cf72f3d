"""What readers of folders share: listing them, and pairing masks with images."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from zsad.data.names import composed, no_folder, no_image
from zsad.data.order import natural_key
from zsad.data.outputs import own_outputs
from zsad.data.walk import walk
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
    """Return the folders in a folder that a walk would enter, in natural order.

    Raises:
        InputError: If the folder cannot be read.
    """
    return [path for path in _entries(folder) if not no_folder(path.name) and path.is_dir()]


def images_in(folder: Path) -> list[Path]:
    """Return the image files in a folder and in all folders below, in natural order.

    Raises:
        InputError: If a folder cannot be read.
    """
    return list(walk(folder).images)


def images_beside(folder: Path) -> list[Path]:
    """Return the image files in a folder and not below it, in natural order.

    Raises:
        InputError: If the folder cannot be read.
    """
    return [path for path in _entries(folder) if not no_image(path.name) and path.is_file()]


def _entries(folder: Path) -> list[Path]:
    """Return what lies in a folder and was not written by zsad."""
    try:
        names = os.listdir(folder)
    except OSError as error:
        raise InputError(f"cannot read '{folder}': {error.strerror or error}") from error
    return [folder / name for name in sorted(set(names) - own_outputs(folder, names), key=natural_key)]


def named(folder: Path, name: str) -> Path:
    """Return the folder of that name in lower case or with capitals; ``folder / name`` if there is none."""
    exact = folder / name
    if exact.is_dir() or not folder.is_dir():
        return exact
    return next((path for path in subfolders(folder) if path.name.lower() == name), exact)


def pair_masks(
    images: Iterable[Path], masks: Iterable[Path], bases: tuple[Path, Path] | None = None
) -> dict[Path, Path]:
    """Return the mask of each image that has one, found by stem and never by order.

    A mask belongs to the image with the same stem; if there is none, to the image whose stem it has apart
    from one of ``MASK_ENDINGS``. Accents may be written in one character or in two. Of several such images it
    belongs to the one that lies in the same folder below ``bases``.

    Args:
        images: The images.
        masks: The masks.
        bases: The folders of all images and of all masks.

    Raises:
        InputError: A mask of no image or of several, or two masks of one image.
    """
    exact: dict[str, list[Path]] = {}
    alike: dict[str, list[Path]] = {}
    for image in images:
        exact.setdefault(image.stem, []).append(image)
        alike.setdefault(composed(image.stem), []).append(image)
    paired: dict[Path, Path] = {}
    for mask in masks:
        stems = _stems(mask)
        found = (exact.get(stem) or alike.get(composed(stem)) for stem in stems)
        owners = next(filter(None, found), [])
        if len(owners) > 1 and bases is not None:
            place = _place(mask, bases[1])
            owners = [image for image in owners if _place(image, bases[0]) == place] or owners
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


def _place(file: Path, base: Path) -> str:
    return composed(file.parent.relative_to(base).as_posix())


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
