"""Small datasets on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image


def draw(
    root: Path,
    classes: Sequence[str] = ("gear", "screw"),
    *,
    normal: int = 3,
    anomalous: int = 3,
    masks: bool = True,
    size: tuple[int, int] = (70, 90),
    seed: int = 0,
) -> Path:
    """Draw noise, with a light square where it is anomalous, in the layout ``folder``."""
    rng = np.random.default_rng(seed)
    for name in classes:
        for number in range(normal + anomalous):
            pixels = rng.integers(60, 120, (*size, 3), dtype=np.uint8)
            state = "good" if number < normal else "scratch"
            mask = np.zeros(size, np.uint8)
            if state != "good":
                mask[10 + number : 40, 20 : 50 + number] = 255
                pixels[mask > 0] += 90
                if masks:
                    _save(mask, root / name / "masks" / state / f"{number}.png")
            _save(pixels, root / name / state / f"{number}.png")
    return root


def _save(pixels: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
