"""Mosaics of four examples: more than one object, and defects smaller than the dataset's own."""

from __future__ import annotations

from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from zsad.data.dataset import Dataset
from zsad.data.order import places_by_name
from zsad.data.resize import resize
from zsad.errors import InputError
from zsad.training.examples import Example
from zsad.training.sources import TrainingSource, hashed, random_at
from zsad.values import Sample

MosaicLabel = Literal["from-mask", "original"]
"""Where a mosaic's image label comes from.

Published code (of Chen et al., VAND 2023; Cao et al., ECCV 2024; Gu et al., ACM MM 2024; Salehi et al., BMVC
2026) keeps the label of the example that is replaced (``original``), which is often wrong: four
normal images labelled anomalous, and the other way round.
"""

_MOSAIC = 2
"""Random stream of mosaics, beside those of generated examples."""


class MosaicExamples:
    """Examples of another source, some of which are replaced by a 2 x 2 mosaic of examples of their class.

    The four are drawn evenly, with replacement, and keep their size, so that a mosaic is twice as high and
    wide as its first tile; tiles of another size are resized to that one.

    Attributes:
        datasets: Those of the source.
    """

    def __init__(
        self, source: TrainingSource, probability: float, seed: int = 0, *, label: MosaicLabel = "from-mask"
    ) -> None:
        """Plan the mosaics; nothing is read yet.

        Args:
            source: The examples.
            probability: Share of them that is replaced (0.2 in the published trainings on MVTec AD).
            seed: Seed of the choice, 0 or more.
            label: Where a mosaic's image label comes from.

        Raises:
            InputError: A number is out of range.
        """
        if not 0 <= probability <= 1 or seed < 0:
            raise InputError(f"mosaic must be 0 to 1 and the seed 0 or more, not {probability:g} and {seed}")
        self.datasets: tuple[Dataset, ...] = source.datasets
        self._source, self._probability, self._seed, self._label = source, probability, seed, label

    @cached_property
    def key(self) -> str:
        """Hash of everything that decides the examples.

        Raises:
            InputError: A file cannot be read.
        """
        return hashed("mosaic", [self._source.key, self._probability, self._seed, self._label])

    @cached_property
    def _places(self) -> dict[str, list[int]]:
        return places_by_name(self._source.class_name(place) for place in range(len(self._source)))

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, place: int) -> Example:
        if not 0 <= place < len(self):
            raise IndexError(place)
        random = random_at(self._seed, place, _MOSAIC)
        if random.random() >= self._probability:
            return self._source[place]
        name = self._source.class_name(place)
        tiles = [self._source[int(chosen)] for chosen in random.choice(self._places[name], 4)]
        height, width = tiles[0].mask.shape
        mask = _joined([_resized_mask(tile.mask, height, width) for tile in tiles])
        anomalous = self._source[place].anomalous if self._label == "original" else bool(mask.any())
        image = _joined([_resized(tile.sample.image, height, width) for tile in tiles])
        weight = float(np.mean([tile.weight for tile in tiles]))
        return Example(Sample(image, name), mask, anomalous, weight)

    def class_name(self, place: int) -> str:
        """Return the object noun of the example at a place."""
        return self._source.class_name(place)


def _joined(tiles: list[npt.NDArray[np.generic]]) -> npt.NDArray[np.generic]:
    """Return four tiles row by row."""
    return np.concatenate([np.concatenate(tiles[:2], axis=1), np.concatenate(tiles[2:], axis=1)])


def _resized(image: npt.NDArray[np.uint8], height: int, width: int) -> npt.NDArray[np.uint8]:
    if image.shape[:2] == (height, width):
        return image
    return resize(image, height, width, "bilinear")


def _resized_mask(mask: npt.NDArray[np.bool_], height: int, width: int) -> npt.NDArray[np.bool_]:
    return _resized(mask.astype(np.uint8) * np.uint8(255), height, width) > 127
