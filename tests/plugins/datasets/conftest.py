"""Little trees of images, and the real sets where they are at hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Draw = Callable[..., Path]


@pytest.fixture
def draw(tmp_path: Path) -> Draw:
    """Write small grey images below the test's folder: ``draw("a/b.png", ..., value=255)``."""

    def write(*names: str, value: int = 90) -> Path:
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((4, 6), value, dtype=np.uint8)).save(path)
        return tmp_path

    return write


@pytest.fixture
def listed(tmp_path: Path) -> Callable[..., list[tuple[object, ...]]]:
    """Return the images of a dataset as (image, mask, anomalous, class, defect), paths as texts."""

    def relative(path: Path | None) -> str | None:
        return None if path is None else path.relative_to(tmp_path).as_posix()

    def rows(dataset) -> list[tuple[object, ...]]:
        return [
            (relative(i.image), relative(i.mask), i.anomalous, i.class_name, i.defect_type)
            for i in dataset.images
        ]

    return rows
