"""Examples that are drawn when they are asked for: sizes, nouns, labels and weights differ."""

from __future__ import annotations

import numpy as np

from tests.training.drawing import pixels
from zsad.errors import InputError
from zsad.training.examples import Example
from zsad.values import Sample


class DrawnExamples:
    """Every other image has a bright square, which is its defect.

    Attributes:
        asked: Places that were read in this process, in order.
    """

    def __init__(self, count: int = 10, seed: int = 0, broken: int | None = None) -> None:
        self.count, self.seed, self.broken = count, seed, broken
        self.asked: list[int] = []

    @property
    def key(self) -> str:
        return f"drawn {self.count} {self.seed}"

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, place: int) -> Example:
        self.asked.append(place)
        if place == self.broken:
            raise InputError(f"cannot read 'image {place}.png': it is damaged")
        rng = np.random.default_rng([self.seed, place])
        anomalous = place % 2 == 1
        image, mask = pixels(rng, anomalous, 50 + place)
        return Example(Sample(image, ["bolt", "leather"][place % 3 == 0]), mask, anomalous, 1 + place / 8)
