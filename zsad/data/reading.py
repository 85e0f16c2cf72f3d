"""Images and masks of a class, decoded and resized in worker processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zsad.data.corruption import Corruption
from zsad.data.dataset import DatasetImage
from zsad.data.images import read_image
from zsad.data.loading import ItemLoader
from zsad.data.masks import mask_of, read_levels
from zsad.data.preprocess import to_tensor
from zsad.errors import ZsadError
from zsad.inputs import InputForm
from zsad.values import Sample

NO_PIXELS: npt.NDArray[np.uint8] = np.empty((0, 0, 3), np.uint8)
"""Stands for pixels that nobody reads any more."""


@dataclass(frozen=True)
class Unreadable:
    """An image that could not be read, and why."""

    place: int
    image: DatasetImage
    error: str


@dataclass(frozen=True)
class Loaded:
    """One image of a dataset, ready for detectors.

    Attributes:
        place: Its number in the class.
        image: What the dataset says of it.
        sample: Pixels, noun, and the towers' inputs.
        mask: [H, W] bool at native size; None for an anomalous image whose dataset gives no mask.
        faint: Pixels above zero in the mask's file that are not marked.
    """

    place: int
    image: DatasetImage
    sample: Sample
    mask: npt.NDArray[np.bool_] | None
    faint: int = 0


class _Decoder:
    def __init__(
        self,
        images: Sequence[DatasetImage],
        forms: Sequence[InputForm],
        pixels: bool,
        corruption: Corruption | None,
        seed: int,
    ) -> None:
        self.images, self.forms, self.pixels = images, forms, pixels
        self.corruption, self.seed = corruption, seed

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, place: int) -> Loaded:
        entry = self.images[place]
        pixels = read_image(entry.image)
        shape, faint = pixels.shape[:2], 0
        if entry.mask is None:
            mask = mask_of(entry, shape)
        else:
            levels = read_levels(entry.mask, shape, entry.image)
            mask, faint = levels.mask, levels.faint
        if self.corruption is not None:
            pixels, mask = self.corruption(pixels, mask, self.seed)
        tensors = {form: to_tensor(pixels, *form) for form in self.forms}
        kept = pixels if self.pixels else NO_PIXELS
        return Loaded(place, entry, Sample(kept, entry.noun, entry.image, tensors), mask, faint)


def read_batches(
    images: Sequence[DatasetImage],
    forms: Sequence[InputForm],
    batch_size: int,
    workers: int,
    *,
    pixels: bool = True,
    corruption: Corruption | None = None,
    seed: int = 0,
) -> Iterator[list[Loaded | Unreadable]]:
    """Yield the images in order, in batches.

    Args:
        images: What to read.
        forms: Inputs of the towers, each of which every image is resized to.
        batch_size: Images per batch; unreadable ones count, so that the others stay in their batches.
        workers: Processes that decode; 0 decodes in this one.
        pixels: Whether samples keep their pixels at native size, which only side inputs are computed from.
        corruption: What is done to images and masks before anything else, or None.
        seed: Seed of what is random in it.
    """
    order = [range(low, min(low + batch_size, len(images))) for low in range(0, len(images), batch_size)]
    found = ItemLoader(_Decoder(images, forms, pixels, corruption, seed), workers).batches(order)
    for places, entries in zip(order, found, strict=True):
        yield [
            Unreadable(place, images[place], str(entry)) if isinstance(entry, ZsadError) else entry
            for place, entry in zip(places, entries, strict=True)
        ]
