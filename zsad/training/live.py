"""Batches whose images pass the towers anew each time: for what is learned before or within the pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from zsad.detect.detector import Detector
from zsad.detect.passes import Pass
from zsad.training.batches import Batch
from zsad.training.examples import ExampleSource
from zsad.training.reading import ExampleReader
from zsad.values import Features


class LiveFeatures:
    """Reads and encodes the images of each batch when it is asked for."""

    def __init__(
        self, detector: Detector, source: ExampleSource, *, workers: int = 0, grad: bool = False
    ) -> None:
        """Prepare.

        Args:
            detector: Whose features they are, with what it has learned by then.
            source: The training images.
            workers: Processes that read images; 0 reads in this one.
            grad: Whether gradients reach what is learned before or within the pass, such as injected tokens.
        """
        self._detector, self._count, self._grad = detector, len(source), grad
        self._reader = ExampleReader(detector, source, workers)

    def __len__(self) -> int:
        return self._count

    def batch(self, places: Sequence[int], device: torch.device) -> Batch:
        """Return the images at ``places``, on a device.

        Raises:
            InputError: A file cannot be read.
        """
        # One by one, so that the workers share a batch.
        examples = [example for (example,) in self._reader.batches([place] for place in places)]
        with torch.set_grad_enabled(self._grad):
            (features,) = Pass([self._detector.reading], [example.sample for example in examples]).run()
        return Batch(
            in_precision(features, full_precision(self._detector), device),
            torch.from_numpy(np.stack([example.mask for example in examples])).to(device),
            torch.tensor([example.anomalous for example in examples], device=device),
            torch.tensor([example.weight for example in examples], dtype=torch.float32, device=device),
        )


def full_precision(detector: Detector) -> torch.dtype:
    """Return the precision of a batch's features: float32, or float64 from a float64 tower."""
    return torch.float64 if detector.recipe.profile.dtype == "float64" else torch.float32


def in_precision(features: Features, dtype: torch.dtype, device: torch.device) -> Features:
    """Return features on a device, floating ones in a precision; whole numbers and flags keep theirs."""

    def move(tensor: Tensor) -> Tensor:
        return tensor.to(device, dtype if tensor.is_floating_point() else tensor.dtype)

    return replace(
        features,
        token_sets=tuple(entry.mapped(move) for entry in features.token_sets),
        image_feature=move(features.image_feature),
        auxiliary={name: move(tensor) for name, tensor in features.auxiliary.items()},
        prepass=None if features.prepass is None else move(features.prepass),
    )
