"""Read MVTec AD and what lies like it: MPDD, BTAD, DTD-Synthetic, VisA rearranged.

.. code-block:: text

    PATH/CLASS/test/good/000.png                    normal (also: normal, ok)
    PATH/CLASS/test/DEFECT/000.png                  anomalous
    PATH/CLASS/ground_truth/DEFECT/000_mask.png     its mask (also: the image's own stem)
    PATH/CLASS/train/good/000.png                   normal images for references

PATH may be one class folder as well. ``test``, ``train`` and ``ground_truth`` may have capitals. Folders
below ``good`` or a defect belong to it; folders without ``test`` are left out. Where ``ground_truth`` exists,
every anomalous image has to have a mask and every mask an image; where it does not, the class has no masks.
Sets with several masks per image (MVTec LOCO) are not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from zsad.data.dataset import Dataset, DatasetImage
from zsad.data.folders import (
    images_in,
    is_normal,
    named,
    pair_masks,
    require_folder,
    require_masks,
    subfolders,
)
from zsad.data.names import composed, printable
from zsad.data.nouns import noun_of
from zsad.errors import InputError


def read(path: Path) -> Dataset:
    """Read a folder of classes, or one class.

    Raises:
        InputError: If no class is found, or images and masks do not fit together.
    """
    return read_like(path, "mvtec", "MVTec AD")


def read_btad(path: Path) -> Dataset:
    """Read BTAD, or one class of it.

    Raises:
        InputError: If no class is found, or images and masks do not fit together.
    """
    return read_like(path, "btad", "BTAD")


def read_like(path: Path, layout: str, what: str) -> Dataset:
    """Read a set that lies like MVTec AD.

    Args:
        path: A folder of classes, or one class.
        layout: The layout's name.
        what: What it is for, for errors.

    Raises:
        InputError: If no class is found, or images and masks do not fit together.
    """
    root = require_folder(path)
    if named(root, "test").is_dir():
        classes = [root]
    else:
        classes = [folder for folder in subfolders(root) if named(folder, "test").is_dir()]
    if not classes:
        raise InputError(
            f"'{root}' does not lie like {what}: neither it nor a folder in it has a folder 'test'"
        )
    images = [image for folder in classes for image in _test_images(folder)]
    references = [image for folder in classes for image in _train_images(folder)]
    return Dataset.of(root, images, references).with_the_rest(layout)


def _test_images(folder: Path) -> list[DatasetImage]:
    test, truth = named(folder, "test"), named(folder, "ground_truth")
    states = subfolders(test)
    masks = {composed(place.name): place for place in subfolders(truth)} if truth.is_dir() else None
    known = {composed(state.name) for state in states if not is_normal(state)}
    for name, place in (masks or {}).items():
        if name not in known and not is_normal(place):
            raise InputError(f"'{place}' has masks, but there is no folder '{test / place.name}'")
    return [image for state in states for image in _state_images(folder, state, truth, masks)]


def _state_images(
    folder: Path, state: Path, truth: Path, places: Mapping[str, Path] | None
) -> list[DatasetImage]:
    files = images_in(state)
    name, noun = printable(folder.name), noun_of(printable(folder.name))
    if is_normal(state):
        return [DatasetImage(file, None, False, name, noun) for file in files]
    masks: dict[Path, Path] = {}
    if places is not None:
        place = places.get(composed(state.name), truth / state.name)
        masks = pair_masks(files, images_in(place) if place.is_dir() else [], (state, place))
        require_masks(files, masks, place)
    return [DatasetImage(file, masks.get(file), True, name, noun, printable(state.name)) for file in files]


def _train_images(folder: Path) -> list[DatasetImage]:
    train = named(folder, "train")
    states = [state for state in subfolders(train) if is_normal(state)] if train.is_dir() else []
    name = printable(folder.name)
    return [DatasetImage(file, None, False, name, noun_of(name)) for s in states for file in images_in(s)]
