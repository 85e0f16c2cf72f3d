"""Where training examples come from: annotated datasets, normal images, and anomalies made on those."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from zsad.data.dataset import Dataset, DatasetImage
from zsad.data.fingerprint import manifest_hash
from zsad.data.images import read_image
from zsad.data.masks import mask_of
from zsad.errors import InputError, ZsadError
from zsad.plugin.imports import cause
from zsad.training.examples import Example, ExampleSource
from zsad.training.generators import Image, LoadedGenerator, Mask
from zsad.values import Sample

_CHOICE, _ANOMALY = 0, 1
"""Random streams of one example: whether it stays clean, and how its anomaly comes out."""


class TrainingSource(ExampleSource, Protocol):
    """A source that also says, without reading an image, what it shows and where it comes from."""

    @property
    def datasets(self) -> tuple[Dataset, ...]:
        """The datasets whose images are read."""

    def class_name(self, place: int) -> str:
        """Return the object noun of the example at a place."""


class DatasetExamples:
    """The test images of annotated datasets, which is what auxiliary training learns from.

    Attributes:
        datasets: In the order of their examples.
    """

    def __init__(self, datasets: Sequence[Dataset], *, masks: bool = True) -> None:
        """Check that there is something to learn from, before anything is read.

        Args:
            datasets: Whose test images are used.
            masks: Whether masks are read. Where none are, an anomalous image without one has an empty mask.

        Raises:
            InputError: No image is anomalous, or masks are read and an anomalous image has none.
        """
        check_annotated(datasets, masks=masks)
        self.datasets = tuple(datasets)
        self._images = [image for dataset in datasets for image in dataset.images]

    @cached_property
    def key(self) -> str:
        """Hash of the files and labels.

        Raises:
            InputError: A file cannot be read.
        """
        return hashed("annotated", [dataset.manifest_hash for dataset in self.datasets])

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, place: int) -> Example:
        image = self._images[place]
        pixels = read_image(image.image)
        mask = mask_of(image, pixels.shape[:2])
        if mask is None:  # no loss reads it, as was checked
            mask = np.zeros(pixels.shape[:2], np.bool_)
        return Example(Sample(pixels, image.noun, image.image), mask, image.anomalous)

    def class_name(self, place: int) -> str:
        """Return the object noun of the example at a place."""
        return self._images[place].noun


class NormalExamples:
    """The normal images of datasets, with empty masks; anomalous images are not so much as looked up.

    Attributes:
        datasets: In the order of their examples.
    """

    def __init__(self, datasets: Sequence[Dataset]) -> None:
        """List the images.

        Raises:
            InputError: A dataset has no normal image.
        """
        self.datasets = tuple(datasets)
        self._by_dataset = [normal_images(dataset) for dataset in datasets]
        self._images = [image for images in self._by_dataset for image in images]

    @cached_property
    def key(self) -> str:
        """Hash of the normal images' files.

        Raises:
            InputError: A file cannot be read.
        """
        listed = zip(self.datasets, self._by_dataset, strict=True)
        return hashed("normal", [manifest_hash(dataset.root, (), images) for dataset, images in listed])

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, place: int) -> Example:
        image = self._images[place]
        pixels = read_image(image.image)
        return Example(Sample(pixels, image.noun, image.image), np.zeros(pixels.shape[:2], np.bool_), False)

    def class_name(self, place: int) -> str:
        """Return the object noun of the example at a place."""
        return self._images[place].noun


class GeneratedExamples:
    """Normal images, of which a share stays clean and the others get a generator's anomaly.

    Seed and place alone decide an example. Place ``p`` shows image ``p % n`` of n images, so that every copy
    of all images is a run of places.

    Attributes:
        datasets: Whose normal images are used.
    """

    def __init__(
        self,
        normals: NormalExamples,
        generator: LoadedGenerator,
        *,
        copies: int = 1,
        clean: float = 0.5,
        seed: int = 0,
    ) -> None:
        """Plan the examples; nothing is read yet.

        Args:
            normals: The images.
            generator: Makes the anomalies, on images.
            copies: Examples of each image.
            clean: Share of the examples that stay clean. A generator that finds no place for an anomaly adds
                to it.
            seed: Seed of everything random, 0 or more.

        Raises:
            InputError: The generator changes features, not images, or a number is out of range.
        """
        if generator.level != "image":
            raise InputError(f"generator '{generator.name}' changes features: it cannot make images")
        if copies < 1 or seed < 0 or not 0 <= clean <= 1:
            raise InputError(
                f"copies must be 1 or more, seed 0 or more and clean 0 to 1, not {copies}, {seed}, {clean}"
            )
        self.datasets = normals.datasets
        self._normals, self._generator = normals, generator
        self._copies, self._clean, self._seed = copies, clean, seed

    @cached_property
    def key(self) -> str:
        """Hash of the images' files, the generator with its options, and everything else that decides.

        Raises:
            InputError: A file cannot be read.
        """
        numbers = [self._copies, self._clean, self._seed]
        return hashed("generated", [self._normals.key, self._generator.key, numbers])

    def __len__(self) -> int:
        return len(self._normals) * self._copies

    def __getitem__(self, place: int) -> Example:
        if not 0 <= place < len(self):
            raise IndexError(place)
        normal = self._normals[place % len(self._normals)]
        if random_at(self._seed, place, _CHOICE).random() < self._clean:
            return normal
        image, mask = self._made(normal, random_at(self._seed, place, _ANOMALY))
        if not mask.any():
            return normal
        return Example(Sample(image, normal.sample.class_name, normal.sample.path), mask, True)

    def class_name(self, place: int) -> str:
        """Return the object noun of the example at a place."""
        return self._normals.class_name(place % len(self._normals))

    def _made(self, normal: Example, random: np.random.Generator) -> tuple[Image, Mask]:
        """Return what the generator makes of an image, if it keeps to its protocol."""
        pixels, name = normal.sample.image, self._generator.name
        try:
            image, mask = self._generator.make(pixels.copy(), random)
            found = [(value.shape, str(value.dtype)) for value in (image, mask)]
        except ZsadError:
            raise
        except Exception as error:
            raise ZsadError(f"generator '{name}' failed on '{normal.sample.path}': {cause(error)}") from error
        if found != [(pixels.shape, "uint8"), (pixels.shape[:2], "bool")]:
            raise ZsadError(
                f"generator '{name}' returned image and mask {found} for an image {pixels.shape}: "
                "both have to keep its size, as uint8 and bool"
            )
        return image, mask


def normal_images(dataset: Dataset) -> tuple[DatasetImage, ...]:
    """Return a dataset's normal images for training, else its normal test images.

    Raises:
        InputError: It has neither.
    """
    found = dataset.normal_train_images or tuple(image for image in dataset.images if not image.anomalous)
    if not found:
        raise InputError(f"--data: dataset '{dataset.name}' has no normal image to make anomalies on")
    return found


def check_annotated(datasets: Sequence[Dataset], *, masks: bool = True) -> None:
    """Check that annotated datasets give something to learn from, before anything is read.

    Args:
        datasets: The datasets.
        masks: Whether masks are read.

    Raises:
        InputError: No image is anomalous, or masks are read and an anomalous image has none.
    """
    if not any(image.anomalous for dataset in datasets for image in dataset.images):
        names = ", ".join(dataset.name for dataset in datasets)
        raise InputError(
            f"--data: no image of {names} is anomalous, so there is nothing to learn from; "
            "have anomalies made with --generator ('zsad generators' lists them)"
        )
    for dataset in datasets:
        if masks and dataset.maskless:
            raise InputError(
                f"--data: dataset '{dataset.name}' gives no mask for the anomalous image "
                f"'{dataset.maskless[0].image}'; training needs one for each, or anomalies made on normal "
                "images with --generator, or training.losses that read no masks ('zsad losses' tells which)"
            )


def random_at(seed: int, place: int, stream: int) -> np.random.Generator:
    """Return the random numbers of one example; each stream of it is independent of the others."""
    return np.random.default_rng(np.random.SeedSequence([seed, place], spawn_key=(stream,)))


def hashed(kind: str, told: Sequence[Any]) -> str:
    """Return the sha256 of plain data that decides a source's examples."""
    return hashlib.sha256(json.dumps([kind, *told]).encode()).hexdigest()
