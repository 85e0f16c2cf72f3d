"""Memories in the order of the published runs: zsad orders references by what they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from zsad.detect.detector import Detector


def order_of(detector: Detector, images: Sequence[np.ndarray]) -> list[int]:
    """Remember references; return the place in the memory of each of the images as they were given."""
    held = [facts.name for facts in detector.remember(images).references]
    return [held.index(f"image {number}") for number in range(1, len(images) + 1)]


def remember_in_order(detector: Detector, images: Sequence[np.ndarray]) -> Mapping[str, Tensor]:
    """Remember references; return the memory with its rows in the order in which the images were given."""
    order = order_of(detector, images)
    (memory,) = detector.memories.values()
    return {
        name: keys.unflatten(0, (len(images), -1))[order].flatten(0, 1)
        for name, keys in memory.buffers.items()
    }
