"""Images to make anomalous: objects before an even ground, and materials from edge to edge."""

from __future__ import annotations

from typing import Any

import numpy as np

from zsad.plugin.host import get_host
from zsad.training.generators import load_generator


def material(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Rough grey from edge to edge."""
    rng = np.random.default_rng(seed)
    return rng.integers(60, 190, (height, width, 3), dtype=np.uint8)


def thing(height: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A rough ellipse before black, and where it is."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    inside = ((rows / height - 0.5) / 0.35) ** 2 + ((columns / width - 0.45) / 0.3) ** 2 < 1
    image = rng.integers(0, 6, (height, width, 3), dtype=np.uint8)
    image[inside] = rng.integers(90, 220, (int(inside.sum()), 3))
    return image, inside


def make(name: str, image: np.ndarray, seed: int | list[int] = 0, **options: Any) -> Any:
    """Return what a generator makes of an image."""
    return generator(name, **options)(image, np.random.default_rng(seed))


def generator(name: str, **options: Any) -> Any:
    return load_generator(get_host(), name, options).make
