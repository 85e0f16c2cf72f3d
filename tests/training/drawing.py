"""A small annotated dataset that can be learned: a bright square on dark noise is the defect."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def pixels(rng: np.random.Generator, anomalous: bool, side: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Return an image [side, side, 3] and its mask [side, side]."""
    image = rng.integers(20, 60, (side, side, 3), dtype=np.uint8)
    mask = np.zeros((side, side), bool)
    if anomalous:
        top, left = rng.integers(0, side // 2, 2)
        mask[top : top + side // 2, left : left + side // 2] = True
        image[mask] += 180
    return image, mask


def draw_set(root: Path, normal: int = 4, anomalous: int = 4, *, masks: bool = True, seed: int = 0) -> Path:
    """Write a dataset in the layout ``folder``: good, bad and masks of bad."""
    rng = np.random.default_rng(seed)
    for number in range(normal + anomalous):
        state = "good" if number < normal else "bad"
        image, mask = pixels(rng, state == "bad")
        save(root / state / f"{number}.png", image)
        if masks and state == "bad":
            save(root / "masks" / "bad" / f"{number}.png", mask.astype(np.uint8) * 255)
    return root


def save(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
