"""Training examples as the towers take them, made in worker processes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from zsad.data.loading import ItemLoader
from zsad.data.masks import resize_mask
from zsad.data.preprocess import to_tensor
from zsad.data.reading import NO_PIXELS
from zsad.detect.detector import Detector
from zsad.errors import InputError, ZsadError
from zsad.inputs import ImageResize, InputForm
from zsad.training.examples import ExampleSource
from zsad.values import Sample


@dataclass(frozen=True)
class PreparedExample:
    """An example at the detector's image size.

    Attributes:
        sample: With the tower's input; without its pixels where nobody reads them.
        mask: [S, S], true where the image is anomalous.
        anomalous: The image label.
        weight: Share of this image in the losses.
    """

    sample: Sample
    mask: npt.NDArray[np.bool_]
    anomalous: bool
    weight: float


class ExampleReader:
    """Reads the examples of a source for a detector."""

    def __init__(self, detector: Detector, source: ExampleSource, workers: int) -> None:
        """Prepare.

        Args:
            detector: Whose input the examples become.
            source: The examples.
            workers: Processes that make them; 0 makes them in this one.

        Raises:
            InputError: The detector's images need not be squares.
        """
        check_squares(detector.reading.form.rule)
        # Side inputs alone are computed from the pixels, by a preprocessing of their own.
        items = _Prepared(source, detector.reading.form, pixels=bool(detector.reading.auxiliary))
        self._loader: ItemLoader[PreparedExample] = ItemLoader(items, workers)

    def batches(self, places: Iterable[Sequence[int]]) -> Iterator[list[PreparedExample]]:
        """Yield the examples at ``places``, batch by batch.

        Raises:
            InputError: A file cannot be read.
        """
        for batch in self._loader.batches(places):
            yield [_sound(entry) for entry in batch]


def check_squares(rule: ImageResize | None) -> None:
    """Check that a batch of examples has one shape, whatever the images.

    Raises:
        InputError: It need not have.
    """
    if rule == "short-side":
        raise InputError(
            f"training takes images as squares, not by profile.image_resize '{rule}'; use --set "
            "profile.image_resize=squash"
        )


def _sound(entry: PreparedExample | ZsadError) -> PreparedExample:
    if isinstance(entry, ZsadError):
        # A new one: raised itself, it would keep this frame, and through its callers the workers, in a cycle.
        raise type(entry)(*entry.args)
    return entry


class _Prepared:
    def __init__(self, source: ExampleSource, form: InputForm, *, pixels: bool) -> None:
        self.source, self.form, self.pixels = source, form, pixels

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, place: int) -> PreparedExample:
        example = self.source[place]
        pixels = example.sample.image
        tensors = {self.form: to_tensor(pixels, *self.form)}
        sample = replace(example.sample, image=pixels if self.pixels else NO_PIXELS, tensors=tensors)
        mask = resize_mask(example.mask, self.form.size, self.form.size)
        return PreparedExample(sample, mask, example.anomalous, example.weight)
