"""Read a folder of your own, in whichever of these ways it lies.

.. code-block:: text

    PATH/good/a.png                  normal (or: normal, ok)
    PATH/scratch/b.png               anomalous, defect type 'scratch'; any other folder name will do
    PATH/masks/scratch/b.png         masks, if there are any (or: mask, ground_truth, gt);
    PATH/masks/b.png                 also without subfolders, or named b_mask.png

    PATH/images/a.png                images and masks side by side: an image is anomalous if its mask
    PATH/masks/a.png                 marks a pixel, and normal if it is empty or missing

    PATH/CLASS/...                   any of these once per object

A single object's class is PATH's name; what prompts call it comes from that name too, underscores as spaces.
Images may lie in ``PATH/images/`` in the first way, too. Folders below ``good`` or a defect belong to it. If
one anomalous image of a class has a mask, every one has to.
"""

from __future__ import annotations

from pathlib import Path

from zsad.data.dataset import Dataset, DatasetImage
from zsad.data.folders import (
    images_beside,
    images_in,
    is_normal,
    named,
    pair_masks,
    require_folder,
    require_masks,
    subfolders,
)
from zsad.data.masks import read_mask
from zsad.data.names import composed, printable
from zsad.data.nouns import noun_of
from zsad.errors import InputError

MASK_FOLDERS = ("masks", "mask", "ground_truth", "gt")
"""Names of folders with masks, in any mixture of upper and lower case."""


def read(path: Path) -> Dataset:
    """Read a folder of images.

    Raises:
        InputError: If nothing says which images are normal, or images and masks do not fit together.
    """
    root = require_folder(path)
    _refuse_other_layouts(root)
    if _is_class(root):
        return Dataset.of(root, _class_images(root)).with_the_rest("folder")
    classes = [folder for folder in subfolders(root) if _is_class(folder)]
    left = [folder for folder in subfolders(root) if folder not in classes and images_in(folder)]
    if not classes:
        raise InputError(
            f"nothing in '{root}' says which images are normal: "
            "put those into a folder 'good' beside one folder per defect, or add a folder 'masks'"
        )
    if left:
        raise InputError(
            f"'{left[0]}' has neither a folder 'good' nor a folder 'masks', which '{classes[0].name}' has"
        )
    images = [image for folder in classes for image in _class_images(folder)]
    return Dataset.of(root, images).with_the_rest("folder")


def _is_class(folder: Path) -> bool:
    return _masks(folder) is not None or any(map(is_normal, subfolders(_base(folder))))


def _masks(folder: Path) -> Path | None:
    return next((each for each in subfolders(folder) if each.name.lower() in MASK_FOLDERS), None)


def _base(folder: Path) -> Path:
    """Return where images lie: in ``images/`` if there is one."""
    inner = next((each for each in subfolders(folder) if each.name.lower() == "images"), None)
    return folder if inner is None else inner


def _states(folder: Path) -> list[Path]:
    """Return the folders that say what their images show: ``good``, and others with images."""
    found = [each for each in subfolders(_base(folder)) if each.name.lower() not in MASK_FOLDERS]
    return [each for each in found if is_normal(each) or images_in(each)]


def _class_images(folder: Path) -> list[DatasetImage]:
    states, masks, loose = _states(folder), _masks(folder), images_beside(_base(folder))
    if not states:
        assert masks is not None  # or it would be no class
        return _by_mask(folder, loose, masks)
    if loose:
        raise InputError(f"'{loose[0]}' lies beside folder '{states[0].name}': move it into such a folder")
    return _by_state(folder, states, masks)


def _by_mask(folder: Path, images: list[Path], masks: Path) -> list[DatasetImage]:
    """Label images by whether their masks mark anything."""
    paired = pair_masks(images, images_in(masks))
    marked = {image for image, mask in paired.items() if read_mask(mask).any()}
    return [_image(folder, file, paired.get(file), file in marked, None) for file in images]


def _by_state(folder: Path, states: list[Path], masks: Path | None) -> list[DatasetImage]:
    """Label images by the folder they lie in."""
    files = {state: images_in(state) for state in states}
    paired = _paired(files, masks)
    anomalous = [file for state, own in files.items() if not is_normal(state) for file in own]
    if masks is not None:
        require_masks(anomalous, paired, masks)
    return [
        _image(folder, file, paired.get(file), not is_normal(state), state.name)
        for state, own in files.items()
        for file in own
    ]


def _paired(files: dict[Path, list[Path]], masks: Path | None) -> dict[Path, Path]:
    """Pair within folders of the same name, or over all folders where masks lie in one."""
    if masks is None:
        return {}
    inner = [place for place in subfolders(masks) if images_in(place)]
    if not inner:
        return pair_masks(_candidates(files), images_in(masks))
    if loose := images_beside(masks):
        raise InputError(f"mask '{loose[0]}' lies beside folders of masks: move it into one of them")
    by_name = {composed(state.name): state for state in files}
    paired: dict[Path, Path] = {}
    for place in inner:
        state = by_name.get(composed(place.name))
        if state is None:
            raise InputError(f"'{place}' has masks, but there is no folder of images named '{place.name}'")
        paired |= pair_masks(files[state], images_in(place), (state, place))
    return paired


def _candidates(files: dict[Path, list[Path]]) -> list[Path]:
    """Return the anomalous images, and the normal ones that share no stem with them."""
    anomalous = [file for state, own in files.items() if not is_normal(state) for file in own]
    taken = {file.stem for file in anomalous}
    normal = [file for state, own in files.items() if is_normal(state) for file in own]
    return [*anomalous, *(file for file in normal if file.stem not in taken)]


def _image(folder: Path, file: Path, mask: Path | None, anomalous: bool, state: str | None) -> DatasetImage:
    name = printable(folder.name)
    defect = printable(state) if anomalous and state is not None else None
    return DatasetImage(file, mask, anomalous, name, noun_of(name), defect)


def _refuse_other_layouts(root: Path) -> None:
    if any(named(each, "test").is_dir() for each in (root, *subfolders(root))):
        raise InputError(f"'{root}' has folders 'test': read it as mvtec={root}")
    if (root / "manifest.csv").is_file():
        raise InputError(f"'{root}' has a manifest: read it as manifest={root / 'manifest.csv'}")
