"""Hash what the figures of a dataset depend on.

Of every image count: its path relative to the dataset's folder, its whole content and that of its mask, its
label, class, noun, defect type and level of severity. Neither the place of the folder nor the order of images
counts.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from zsad.data.contents import contents

MARK_DIGITS = 16
"""Of the sha256 of an image's content, as many hexadecimal digits tell it from all others."""


class _Labelled(Protocol):
    """What counts of an image, see ``zsad.data.dataset.DatasetImage``."""

    @property
    def image(self) -> Path: ...
    @property
    def mask(self) -> Path | None: ...
    @property
    def anomalous(self) -> bool: ...
    @property
    def class_name(self) -> str: ...
    @property
    def noun(self) -> str: ...
    @property
    def defect_type(self) -> str | None: ...
    @property
    def level(self) -> float | None: ...


def manifest_hash(root: Path, images: Iterable[_Labelled], normal_train_images: Iterable[_Labelled]) -> str:
    """Return a sha256 as 64 hexadecimal digits.

    Raises:
        InputError: If a file cannot be read.
    """
    listed = [*((image, "test") for image in images), *((image, "train") for image in normal_train_images)]
    files = [path for image, _ in listed for path in (image.image, image.mask) if path is not None]
    held = contents(files)
    lines = sorted(_line(root, image, part, held) for image, part in listed)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def content_marks(images: Iterable[_Labelled]) -> frozenset[str]:
    """Return the marks of images by which they are known again in another folder, under any name.

    Raises:
        InputError: If a file cannot be read.
    """
    held = contents(image.image for image in images)
    return frozenset(found.partition(":")[2][:MARK_DIGITS] for found in held.values())


def _line(root: Path, image: _Labelled, part: str, held: Mapping[Path, str]) -> str:
    mask = None if image.mask is None else [_relative(root, image.mask), held[image.mask]]
    labels = [image.anomalous, image.class_name, image.noun, image.defect_type]
    labels += [] if image.level is None else [image.level]
    return json.dumps([part, _relative(root, image.image), held[image.image], mask, *labels])


def _relative(root: Path, path: Path) -> str:
    return Path(os.path.relpath(path, root)).as_posix()
