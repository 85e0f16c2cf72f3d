"""Read a CSV that lists images, with their masks, labels and classes.

.. code-block:: text

    image,mask,label,class_name,defect_type
    images/good_1.jpg,,0,magnetic tile,
    images/hole_7.jpg,masks/hole_7.png,1,magnetic tile,hole

The path given is the CSV file, or a folder with ``manifest.csv``; commas, semicolons or tabs part its cells.
Paths are relative to the file's folder or absolute, and may lead out of it. ``label`` is 0 (normal) or 1
(anomalous). ``class_name`` is the object and never depends on the label. ``defect_type`` may be missing. Two
further columns may be there: ``noun``, the word for prompts where that is not the class name, and ``level``,
how severe a defect is (see :mod:`zsad.data.levels`). An anomalous image with an
empty ``mask`` counts as having none: image metrics use it, pixel metrics do not. Images in the file's
folder that it does not list are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from zsad.data.dataset import Dataset, DatasetImage
from zsad.data.levels import level_of
from zsad.data.nouns import noun_of
from zsad.data.table import read_rows
from zsad.data.written import file_named
from zsad.errors import InputError

FILE = "manifest.csv"


def read(path: Path) -> Dataset:
    """Read a manifest.

    Raises:
        InputError: If it cannot be read, or a row is wrong: names the line.
    """
    file = path / FILE if path.is_dir() else path
    folder = file.parent
    rows = read_rows(file, ("image", "mask", "label", "class_name"))
    dataset = Dataset.of(folder, [_image(folder, where, row) for where, row in rows])
    return dataset.with_the_rest("manifest", [file], patient=True)


def _image(folder: Path, where: str, row: Mapping[str, str]) -> DatasetImage:
    label, class_name = row["label"], row["class_name"]
    if label not in ("0", "1"):
        raise InputError(f"{where}: label '{label}' is neither 0 (normal) nor 1 (anomalous)")
    if not class_name:
        raise InputError(f"{where}: class_name is empty; it is the object, for example 'metal nut'")
    anomalous = label == "1"
    return DatasetImage(
        image=file_named(folder, row["image"], where),
        mask=file_named(folder, row["mask"], where) if row["mask"] else None,
        anomalous=anomalous,
        class_name=class_name,
        noun=row.get("noun") or noun_of(class_name),
        defect_type=(row.get("defect_type") or None) if anomalous else None,
        level=level_of(row.get("level", ""), anomalous=anomalous, where=where),
    )
