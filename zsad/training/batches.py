"""A batch of training: features, masks and labels, from a cache or from a pass of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from zsad.values import Features


@dataclass(frozen=True)
class Batch:
    """What a training step sees, on the towers' device.

    Attributes:
        features: Of B images, floating ones in float32 (float64 from a float64 tower).
        masks: [B, S, S] bool at the detector's image size.
        anomalous: [B] bool.
        weights: [B] float32, each image's share in the losses.
    """

    features: Features
    masks: Tensor
    anomalous: Tensor
    weights: Tensor

    def __len__(self) -> int:
        return len(self.features)


class BatchSource(Protocol):
    """Gives the batches of a training set."""

    def __len__(self) -> int:
        """Return the number of images."""

    def batch(self, places: Sequence[int], device: torch.device) -> Batch:
        """Return the images at ``places``, on a device."""
