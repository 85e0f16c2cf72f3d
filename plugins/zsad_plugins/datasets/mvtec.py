"""Read MVTec AD and what lies like it: MPDD, BTAD, DTD-Synthetic, VisA rearranged.

.. code-block:: text

    PATH/CLASS/test/good/000.png                    normal (also: normal, ok)
    PATH/CLASS/test/DEFECT/000.png                  anomalous
    PATH/CLASS/ground_truth/DEFECT/000_mask.png     its mask (also: the image's own stem)
    PATH/CLASS/train/good/000.png                   normal images for references

PATH may be one class folder as well. Folders without ``test`` are left out. Where ``ground_truth`` exists,
every anomalous image has to have a mask and every mask an image; where it does not, the class has no masks.
Sets with several masks per image (MVTec LOCO) are not read.
"""

from __future__ import annotations

from pathlib import Path

from zsad.data.dataset import Dataset, DatasetImage
from zsad.data.folders import images_in, is_normal, pair_masks, require_folder, require_masks, subfolders
from zsad.data.nouns import noun_of
from zsad.errors import InputError


def read(path: Path) -> Dataset:
    """Read a folder of classes, or one class.

    Raises:
        InputError: If no class is found, or images and masks do not fit together.
    """
    root = require_folder(path)
    if (root / "test").is_dir():
        classes = [root]
    else:
        classes = [folder for folder in subfolders(root) if (folder / "test").is_dir()]
    if not classes:
        raise InputError(
            f"'{root}' does not lie like MVTec AD: neither it nor a folder in it has a folder 'test'"
        )
    images = [image for folder in classes for image in _test_images(folder)]
    references = [image for folder in classes for image in _train_images(folder)]
    return Dataset.of(root, images, references)


def _test_images(folder: Path) -> list[DatasetImage]:
    truth = folder / "ground_truth"
    states = subfolders(folder / "test")
    known = {state.name for state in states if not is_normal(state)}
    if truth.is_dir():
        for masks in subfolders(truth):
            if masks.name not in known and not is_normal(masks):
                raise InputError(
                    f"'{masks}' has masks, but there is no folder '{folder / 'test' / masks.name}'"
                )
    return [image for state in states for image in _state_images(folder, state, truth)]


def _state_images(folder: Path, state: Path, truth: Path) -> list[DatasetImage]:
    files = images_in(state)
    name, noun = folder.name, noun_of(folder.name)
    if is_normal(state):
        return [DatasetImage(file, None, False, name, noun) for file in files]
    masks: dict[Path, Path] = {}
    if truth.is_dir():
        place = truth / state.name
        masks = pair_masks(files, images_in(place) if place.is_dir() else [])
        require_masks(files, masks, place)
    return [DatasetImage(file, masks.get(file), True, name, noun, state.name) for file in files]


def _train_images(folder: Path) -> list[DatasetImage]:
    train = folder / "train"
    states = [state for state in subfolders(train) if is_normal(state)] if train.is_dir() else []
    noun = noun_of(folder.name)
    return [DatasetImage(file, None, False, folder.name, noun) for s in states for file in images_in(s)]
