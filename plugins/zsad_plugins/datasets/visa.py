"""Read VisA as published, or rearranged like MVTec AD.

As published, ``PATH/split_csv/1cls.csv`` lists the images (columns object, split, label, image, mask) with
paths relative to PATH; its split is the one that papers report. Without that file, PATH has to lie like MVTec
AD, as the authors' preparation script leaves it (folder ``visa_pytorch/1cls``).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from zsad.data.dataset import Dataset, DatasetImage
from zsad.data.folders import require_folder, subfolders
from zsad.data.nouns import noun_of
from zsad.data.table import read_rows
from zsad.data.written import file_named
from zsad.errors import InputError
from zsad_plugins.datasets import mvtec

SPLIT = Path("split_csv") / "1cls.csv"

_LABELS = {"normal": False, "anomaly": True}
_COLUMNS = ("object", "split", "label", "image", "mask")


def read(path: Path) -> Dataset:
    """Read a folder with all of VisA, or some of its classes.

    Raises:
        InputError: If it lies in neither way, or a row of the split file is wrong.
    """
    root = require_folder(path)
    if not (root / SPLIT).is_file():
        if any((folder / "Data").is_dir() for folder in subfolders(root)):
            raise InputError(f"'{root}' lacks '{SPLIT}', which comes with VisA and says what is tested")
        return mvtec.read_like(root, "visa", f"VisA, as published with '{SPLIT}' or rearranged like MVTec AD")
    parts: dict[str, list[DatasetImage]] = {"train": [], "test": []}
    for where, row in read_rows(root / SPLIT, _COLUMNS):
        if row["split"] not in parts:
            raise InputError(f"{where}: split '{row['split']}' is neither train nor test")
        parts[row["split"]].append(_image(root, where, row))
    references = [image for image in parts["train"] if not image.anomalous]
    return Dataset.of(root, parts["test"], references).with_the_rest("visa", [root / SPLIT])


def _image(root: Path, where: str, row: Mapping[str, str]) -> DatasetImage:
    if row["label"] not in _LABELS:
        raise InputError(f"{where}: label '{row['label']}' is neither normal nor anomaly")
    anomalous, name = _LABELS[row["label"]], row["object"]
    if not name:
        raise InputError(f"{where}: object is empty")
    mask = file_named(root, row["mask"], where) if row["mask"] else None
    image = file_named(root, row["image"], where)
    return DatasetImage(image, mask, anomalous, name, noun_of(name), "anomaly" if anomalous else None)
