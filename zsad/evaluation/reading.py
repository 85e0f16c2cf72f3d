"""Images and masks of a class, decoded and resized in worker processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from zsad.data.dataset import DatasetImage
from zsad.data.images import read_image
from zsad.data.masks import mask_of
from zsad.data.preprocess import InputForm, to_tensor
from zsad.errors import InputError
from zsad.values import Sample


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
    """

    place: int
    image: DatasetImage
    sample: Sample
    mask: npt.NDArray[np.bool_] | None


class _Decoder(TorchDataset["Loaded | Unreadable"]):
    def __init__(self, images: Sequence[DatasetImage], forms: Sequence[InputForm]) -> None:
        self.images, self.forms = images, forms

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, place: int) -> Loaded | Unreadable:
        entry = self.images[place]
        try:
            pixels = read_image(entry.image)
            mask = mask_of(entry, pixels.shape[:2])
        except InputError as error:
            return Unreadable(place, entry, str(error))
        tensors = {form: to_tensor(pixels, *form) for form in self.forms}
        return Loaded(place, entry, Sample(pixels, entry.noun, entry.image, tensors), mask)


def read_batches(
    images: Sequence[DatasetImage], forms: Sequence[InputForm], batch_size: int, workers: int
) -> Iterator[list[Loaded | Unreadable]]:
    """Yield the images in order, in batches.

    Args:
        images: What to read.
        forms: Inputs of the towers, each of which every image is resized to.
        batch_size: Images per batch; unreadable ones count, so that the others stay in their batches.
        workers: Processes that decode; 0 decodes in this one.
    """
    loader: DataLoader[Loaded | Unreadable] = DataLoader(
        _Decoder(images, forms), batch_size, num_workers=workers, collate_fn=list
    )
    with torch.no_grad():
        yield from loader
