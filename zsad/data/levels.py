"""How severe a defect is, as an ordinal level: 0 for normal images, more for worse ones.

A manifest has a column ``level``; any other dataset may have a list beside it, ``levels.csv`` in its folder:

.. code-block:: text

    image,level
    test/scratch/001.png,1
    test/hole/004.png,3

Normal images are of level 0 and need not be listed. Levels are an order: nothing but their order counts. The
area of a defect is no severity, so that none is ever computed from masks.
"""

from __future__ import annotations

import math
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from zsad.data.table import read_rows
from zsad.data.written import file_named
from zsad.errors import InputError

if TYPE_CHECKING:
    from zsad.data.dataset import Dataset, DatasetImage

FILE = "levels.csv"


def level_of(text: str, *, anomalous: bool, where: str) -> float | None:
    """Return the level that a cell of a table says; None for an empty one.

    Args:
        text: The cell.
        anomalous: The label of the image.
        where: File and line, for the error.

    Raises:
        InputError: Not a number from 0 on, or one that the label contradicts.
    """
    if not text:
        return None
    try:
        level = float(text)
    except ValueError:
        level = math.nan
    if not (math.isfinite(level) and level >= 0):
        raise InputError(f"{where}: level '{text}' is not a number from 0 (normal) on")
    if (level > 0) != anomalous:
        said = "normal, and only anomalous" if level > 0 else "anomalous, and only normal"
        raise InputError(f"{where}: level '{text}' of an image that is {said} images have such a level")
    return level


def with_levels(dataset: Dataset) -> Dataset:
    """Return a dataset with the levels that its list gives, or as it is where it has none.

    Raises:
        InputError: The list cannot be read, names what is no test image, or says again what a manifest says.
    """
    file = dataset.root / FILE
    if not file.exists():
        return dataset
    if any(image.level is not None for image in dataset.images):
        raise InputError(
            f"'{file}' gives levels, and so does the list that the dataset was read from; drop one"
        )
    images = {os.path.abspath(image.image): image for image in dataset.images}
    levels: dict[str, float | None] = {}
    for where, row in read_rows(file, ("image", "level")):
        path = os.path.abspath(file_named(dataset.root, row["image"], where))
        if path not in images:
            raise InputError(f"{where}: '{row['image']}' is no test image of dataset '{dataset.name}'")
        if path in levels:
            raise InputError(f"{where}: '{row['image']}' has a level already")
        levels[path] = level_of(row["level"], anomalous=images[path].anomalous, where=where)

    def leveled(image: DatasetImage) -> DatasetImage:
        return replace(image, level=levels.get(os.path.abspath(image.image)))

    return replace(
        dataset,
        images=tuple(map(leveled, dataset.images)),
        left_out=tuple(entry for entry in dataset.left_out if entry.path != file),
    )


def severity(image: DatasetImage) -> float | None:
    """Return an image's level, 0 for a normal one; None for an anomalous one of which nobody says it."""
    return image.level if image.anomalous else 0.0
