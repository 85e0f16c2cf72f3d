"""Images and masks of a class, decoded and resized in worker processes."""

from __future__ import annotations

import pickle
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from zsad.data.dataset import DatasetImage
from zsad.data.images import read_image
from zsad.data.masks import mask_of
from zsad.data.preprocess import InputForm, to_tensor
from zsad.errors import InputError
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
    """

    place: int
    image: DatasetImage
    sample: Sample
    mask: npt.NDArray[np.bool_] | None


class _Decoder(TorchDataset["Loaded | Unreadable"]):
    def __init__(self, images: Sequence[DatasetImage], forms: Sequence[InputForm], pixels: bool) -> None:
        self.images, self.forms, self.pixels = images, forms, pixels

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
        kept = pixels if self.pixels else NO_PIXELS
        return Loaded(place, entry, Sample(kept, entry.noun, entry.image, tensors), mask)


def read_batches(
    images: Sequence[DatasetImage],
    forms: Sequence[InputForm],
    batch_size: int,
    workers: int,
    *,
    pixels: bool = True,
) -> Iterator[list[Loaded | Unreadable]]:
    """Yield the images in order, in batches.

    Args:
        images: What to read.
        forms: Inputs of the towers, each of which every image is resized to.
        batch_size: Images per batch; unreadable ones count, so that the others stay in their batches.
        workers: Processes that decode; 0 decodes in this one.
        pixels: Whether samples keep their pixels at native size, which only side inputs are computed from.
    """
    # Pickled here, because torch would put every tensor into shared memory under a file handle of its own:
    # containers have little of the one, and without the other the workers wait for ever.
    loader: DataLoader[Loaded | Unreadable] = DataLoader(
        _Decoder(images, forms, pixels),
        batch_size,
        num_workers=workers,
        collate_fn=pickle.dumps,
        worker_init_fn=_leave_interrupts_to_the_parent,
    )
    with _interrupts_held_back():
        batches = iter(loader)
    for packed in batches:
        yield pickle.loads(packed)


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Hold Ctrl-C back while processes are started: Python loses one that comes in the middle of a fork."""
    if threading.current_thread() is not threading.main_thread():  # only there signals can be dealt with
        yield
        return
    held: list[int] = []
    former = signal.signal(signal.SIGINT, lambda number, frame: held.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former or signal.SIG_DFL)
    if held:
        signal.raise_signal(signal.SIGINT)


def _leave_interrupts_to_the_parent(worker: int) -> None:
    # Ctrl-C reaches the whole process group; a traceback per worker would hide the one sentence that counts.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
