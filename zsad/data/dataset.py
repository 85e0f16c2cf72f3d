"""A dataset as methods see it: labelled test images with masks, class by class. Torch is not needed here."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from zsad.data.corruption import Corruption
from zsad.data.fingerprint import content_marks, manifest_hash
from zsad.data.left_out import LeftOut, left_out_words
from zsad.data.names import printable
from zsad.data.order import natural_key
from zsad.data.walk import unused, walk
from zsad.errors import InputError, nearest


@dataclass(frozen=True)
class DatasetImage:
    """One labelled image.

    Attributes:
        image: The image file.
        mask: Its ground-truth mask; None where there is none, as for nearly all normal images.
        anomalous: The image label.
        class_name: Class key, by which results are broken down; for example the class folder's name.
        noun: What prompts call the object; the same for all images of a class.
        defect_type: For breakdowns only, it must never reach a prompt; None for a normal image.
        level: How severe the defect is, see :mod:`zsad.data.levels`; None where nobody says.
    """

    image: Path
    mask: Path | None
    anomalous: bool
    class_name: str
    noun: str
    defect_type: str | None = None
    level: float | None = None


@dataclass(frozen=True)
class Dataset:
    """The test images of a dataset, and apart from them the normal images meant for training.

    Attributes:
        name: What result files call it.
        root: Folder that all files belong to; hashes use paths relative to it.
        images: The test images, by class and then by path in natural order.
        normal_train_images: Normal images of the dataset's training part; later used as references.
        left_out: What lies in its folder and is not part of it, with the reasons.
        layout: The layout that it was read by, or an empty string.
        corruption: What is done to the images when they are read for an evaluation, or None. Hashes are of
            the images as they are.
    """

    name: str
    root: Path
    images: tuple[DatasetImage, ...]
    normal_train_images: tuple[DatasetImage, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    layout: str = ""
    corruption: Corruption | None = None

    def __post_init__(self) -> None:
        """Refuse what would make every figure wrong.

        Raises:
            InputError: No image, an image or a mask twice, a class with two nouns, or classes that give the
                label away.
        """
        _refuse_empty(self)
        _refuse_duplicates(self)
        _refuse_two_nouns(self)
        _refuse_telling_classes(self)

    @classmethod
    def of(
        cls, root: Path, images: Iterable[DatasetImage], normal_train_images: Iterable[DatasetImage] = ()
    ) -> Dataset:
        """Return a dataset named after its folder, with its images in order.

        Raises:
            InputError: As the constructor.
        """
        name, found = folder_name(root), _ordered(images)
        if not found:
            raise _empty(name, root, left_out_words(walk(root, patient=True).left_out))
        return cls(name, root, found, _ordered(normal_train_images))

    def with_the_rest(self, layout: str, lists: Iterable[Path] = (), *, patient: bool = False) -> Dataset:
        """Return the dataset with everything else that lies in its folder as left out.

        Args:
            layout: The layout that it was read as.
            lists: The files that say what belongs to it; they are neither taken nor left out.
            patient: Leave out a folder that cannot be read, where it would be refused.

        Raises:
            InputError: A folder cannot be read.
        """
        everything = [*self.images, *self.normal_train_images]
        masks = [image.mask for image in everything if image.mask is not None]
        used = [*(image.image for image in everything), *masks, *lists]
        reason = f"no place for it in the layout '{layout}'" if not lists else "not in the list"
        return replace(self, left_out=unused(self.root, used, reason, patient=patient))

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The class keys, in natural order."""
        return tuple(dict.fromkeys(image.class_name for image in self.images))

    @cached_property
    def maskless(self) -> tuple[DatasetImage, ...]:
        """The anomalous images without a mask, which pixel metrics have to leave out."""
        return tuple(image for image in self.images if image.anomalous and image.mask is None)

    @property
    def has_masks(self) -> bool:
        """Whether at least one image is anomalous and every such image has a mask."""
        return any(image.anomalous for image in self.images) and not self.maskless

    @property
    def has_normal_images(self) -> bool:
        """Whether the test images include a normal one, without which image metrics are undefined."""
        return not all(image.anomalous for image in self.images)

    @cached_property
    def manifest_hash(self) -> str:
        """sha256 of what figures depend on; reads the files (see :mod:`zsad.data.fingerprint`).

        The images of one class have a hash of their own: ``dataset.restricted_to([name]).manifest_hash``.

        Raises:
            InputError: If a file cannot be read.
        """
        return manifest_hash(self.root, self.images, self.normal_train_images)

    @cached_property
    def content_marks(self) -> frozenset[str]:
        """Short hashes of the content of every image, training images included; reads the files.

        Raises:
            InputError: If a file cannot be read.
        """
        return content_marks([*self.images, *self.normal_train_images])

    def restricted_to(self, classes: Sequence[str]) -> Dataset:
        """Return the dataset with these classes only, in the dataset's own order.

        Raises:
            InputError: If the dataset has no class of that name, or ``classes`` is empty.
        """
        for name in classes:
            if name not in self.classes:
                hint = nearest(name, self.classes) or f"; it has {', '.join(self.classes)}"
                raise InputError(f"dataset '{self.name}' has no class '{name}'{hint}")
        kept = set(classes)
        return replace(
            self,
            images=tuple(image for image in self.images if image.class_name in kept),
            normal_train_images=tuple(i for i in self.normal_train_images if i.class_name in kept),
        )


def folder_name(folder: Path) -> str:
    """Return a folder's name, also where the path ends in ``.`` or ``..``."""
    return printable(Path(os.path.abspath(folder)).name) or "dataset"


def _ordered(images: Iterable[DatasetImage]) -> tuple[DatasetImage, ...]:
    return tuple(sorted(images, key=lambda i: (natural_key(i.class_name), natural_key(str(i.image)))))


def _refuse_empty(dataset: Dataset) -> None:
    if not dataset.images:
        raise _empty(dataset.name, dataset.root)


def _empty(name: str, root: Path, rest: str = "") -> InputError:
    return InputError(f"dataset '{name}' in '{root}' has no test image{f'; {rest}' if rest else ''}")


def _refuse_duplicates(dataset: Dataset) -> None:
    # A set may give all its normal images the same empty mask.
    masks = [image.mask for image in dataset.images if image.anomalous and image.mask is not None]
    everything = [*dataset.images, *dataset.normal_train_images]
    files = {
        "image": Counter(os.path.normpath(image.image) for image in everything),
        "mask": Counter(map(os.path.normpath, masks)),
    }
    for kind, counts in files.items():
        for path, count in counts.items():
            if count > 1:
                raise InputError(f"dataset '{dataset.name}' names the {kind} '{path}' {count} times")


def _refuse_two_nouns(dataset: Dataset) -> None:
    nouns: dict[str, str] = {}
    for image in dataset.images:
        noun = nouns.setdefault(image.class_name, image.noun)
        if noun != image.noun:
            raise InputError(
                f"dataset '{dataset.name}' calls the object of class '{image.class_name}' both '{noun}' and "
                f"'{image.noun}': a noun must not differ within a class, or it could give the label away"
            )


def _refuse_telling_classes(dataset: Dataset) -> None:
    pairs = {(image.class_name, image.anomalous) for image in dataset.images}
    classes = {name for name, _ in pairs}
    labels = {anomalous for _, anomalous in pairs}
    if len(classes) > 1 and len(labels) == 2 and len(pairs) == len(classes):
        normal, anomalous = (min(n for n, label in pairs if label is wanted) for wanted in (False, True))
        raise InputError(
            f"in dataset '{dataset.name}' the class name gives the label away ('{normal}' has only normal "
            f"images, '{anomalous}' only anomalous ones): a class is an object, so give normal and anomalous "
            "images of one object the same class name"
        )
