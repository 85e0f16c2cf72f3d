"""Batches whose made anomalies count by how much there is to learn from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from zsad.training.batches import Batch, BatchSource
from zsad.training.posterior import PosteriorOptions, anomaly_weights

CHUNK = 64
"""Images whose features are read at once."""


class PosteriorWeights:
    """The batches of another source, with weights after the Expected Anomaly Posterior of their anomalies."""

    def __init__(self, batches: BatchSource, options: PosteriorOptions, seed: int) -> None:
        """Compute the weights from the image features of all images.

        Args:
            batches: The source.
            options: Of the posterior.
            seed: Seed of its subsets.

        Raises:
            InputError: There are too few normal images.
        """
        self._batches = batches
        features, anomalous = _image_features(batches)
        weights = anomaly_weights(features.numpy(), anomalous.numpy(), options, seed)
        self.weights = torch.from_numpy(weights)

    def __len__(self) -> int:
        return len(self._batches)

    def batch(self, places: Sequence[int], device: torch.device) -> Batch:
        """Return the images at ``places``, on a device; weights that they had already are multiplied."""
        batch = self._batches.batch(places, device)
        return replace(batch, weights=batch.weights * self.weights[list(places)].to(device))


@torch.no_grad()
def _image_features(batches: BatchSource) -> tuple[Tensor, Tensor]:
    """Return all image features [n, C] and labels [n], on the CPU."""
    features, labels = [], []
    for low in range(0, len(batches), CHUNK):
        found = batches.batch(range(low, min(low + CHUNK, len(batches))), torch.device("cpu"))
        features.append(found.features.image_feature.float().cpu())
        labels.append(found.anomalous.cpu())
    return torch.cat(features), torch.cat(labels)
