"""Look for what is wrong with the files of a dataset, by really opening each of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from zsad.data.dataset import Dataset, DatasetImage
from zsad.data.images import read_image
from zsad.data.masks import read_levels
from zsad.errors import InputError


@dataclass(frozen=True)
class Problem:
    """What is wrong with one file.

    Attributes:
        file: The image or mask.
        class_name: The class of its image.
        text: One sentence.
    """

    file: Path
    class_name: str
    text: str


@dataclass(frozen=True)
class ClassCounts:
    """How many images a class has.

    Attributes:
        class_name: Class key.
        noun: What prompts call the object.
        normal: Normal test images.
        anomalous: Anomalous test images.
        masks: Anomalous test images with a mask.
        train: Normal images of the training part.
    """

    class_name: str
    noun: str
    normal: int
    anomalous: int
    masks: int
    train: int


def count_classes(dataset: Dataset) -> list[ClassCounts]:
    """Return the counts of each class, in the dataset's order."""
    return [_counts(dataset, name) for name in dataset.classes]


def _counts(dataset: Dataset, name: str) -> ClassCounts:
    own = [image for image in dataset.images if image.class_name == name]
    anomalous = [image for image in own if image.anomalous]
    return ClassCounts(
        name,
        own[0].noun,
        len(own) - len(anomalous),
        len(anomalous),
        sum(image.mask is not None for image in anomalous),
        sum(image.class_name == name for image in dataset.normal_train_images),
    )


@dataclass(frozen=True)
class Inspected:
    """What was seen of an image and its mask.

    Attributes:
        problems: What is wrong.
        marked: Pixels that the mask marks.
        faint: Pixels above zero in the mask's file that are not marked.
        numbers: Whether the mask's file holds class numbers.
    """

    problems: tuple[Problem, ...] = ()
    marked: int = 0
    faint: int = 0
    numbers: bool = False


def inspect_image(image: DatasetImage) -> Inspected:
    """Open an image and its mask.

    A file may be unreadable, a mask of another size than its image, the mask of an anomalous image empty, or
    that of a normal image not.
    """
    problems = []
    shape = None
    try:
        height, width = read_image(image.image).shape[:2]
        shape = height, width
    except InputError as error:
        problems.append(Problem(image.image, image.class_name, str(error)))
    if image.mask is None:
        return Inspected(tuple(problems))
    try:
        levels = read_levels(image.mask, shape, image.image)
    except InputError as error:
        return Inspected((*problems, Problem(image.mask, image.class_name, str(error))))
    if levels.mask.any() != image.anomalous:
        text = "but its mask marks nothing" if image.anomalous else "but its mask marks pixels"
        label = "anomalous" if image.anomalous else "normal"
        problems.append(Problem(image.mask, image.class_name, f"image '{image.image}' is {label}, {text}"))
    return Inspected(tuple(problems), int(levels.mask.sum()), levels.faint, levels.numbers)
