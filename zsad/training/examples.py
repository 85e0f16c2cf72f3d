"""What training learns from: images with masks, whether annotated, composed of others or made anomalous."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from zsad.values import Sample


@dataclass(frozen=True)
class Example:
    """One training image.

    Attributes:
        sample: The raw image with its class noun.
        mask: [H, W] bool at the image's own size, true where it is anomalous.
        anomalous: The image label.
        weight: Share of this image in the losses, 1 for a plain one.
    """

    sample: Sample
    mask: np.ndarray
    anomalous: bool
    weight: float = 1.0


class ExampleSource(Protocol):
    """A fixed list of training images: the same place gives the same example, in any process."""

    @property
    def key(self) -> str:
        """Hash of everything that decides the examples: files, generator, options, seed."""

    def __len__(self) -> int:
        """Return the number of examples."""

    def __getitem__(self, place: int) -> Example:
        """Read or make one example.

        Raises:
            InputError: Its file cannot be read.
        """
