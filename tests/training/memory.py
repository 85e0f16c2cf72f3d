"""Batches held in memory: features of a small annotated dataset, encoded at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from zsad.data.dataset import Dataset
from zsad.data.images import read_image
from zsad.data.masks import mask_of, resize_mask
from zsad.detect.detector import Detector
from zsad.training.batches import Batch
from zsad.values import Sample


class MemoryBatches:
    """A dataset's test images as a detector sees them."""

    def __init__(self, detector: Detector, dataset: Dataset) -> None:
        images = [(image, read_image(image.image)) for image in dataset.images]
        samples = [Sample(pixels, image.noun) for image, pixels in images]
        masks = [mask_of(image, pixels.shape[:2]) for image, pixels in images]
        self.features = detector.encode(samples)
        size = detector.recipe.image_size
        self.masks = torch.from_numpy(np.stack([resize_mask(mask, size, size) for mask in masks]))
        self.anomalous = torch.tensor([image.anomalous for image, _ in images])

    def __len__(self) -> int:
        return len(self.anomalous)

    def batch(self, places: Sequence[int], device: torch.device) -> Batch:
        index = list(places)
        return Batch(
            self.features.select(index), self.masks[index], self.anomalous[index], torch.ones(len(index))
        )
