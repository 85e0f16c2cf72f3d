"""Random cases with many ties, and the synthetic cases of the parity kit."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

Array = npt.NDArray[Any]

LEVELS = np.array([0.0, -0.0, 0.5, 0.25, -3.0, 1.0, 1e-3, 60000.0])
"""Exact or distinct in float16 too; two of them are equal."""

DTYPES = (np.float16, np.float32, np.float64)


@st.composite
def scored_items(draw: st.DrawFn) -> tuple[Array, Array]:
    """Scores of few levels, and labels of both kinds."""
    count = draw(st.integers(2, 40))
    levels = draw(st.integers(1, len(LEVELS)))
    places = draw(hnp.arrays(np.int8, count, elements=st.integers(0, levels - 1)))
    labels = draw(hnp.arrays(np.bool_, count))
    labels[:2] = False, True
    return LEVELS[places].astype(draw(st.sampled_from(DTYPES))), labels


@st.composite
def scored_maps(draw: st.DrawFn) -> tuple[Array, Array]:
    """Maps [B, H, W] of few levels, and masks with at least one pixel of each kind.

    Images may be wholly normal or wholly anomalous, regions have one pixel or touch at corners.
    """
    shape = (draw(st.integers(1, 4)), draw(st.integers(1, 6)), draw(st.integers(2, 7)))
    levels = draw(st.integers(1, len(LEVELS)))
    places = draw(hnp.arrays(np.int8, shape, elements=st.integers(0, levels - 1)))
    masks = draw(hnp.arrays(np.bool_, shape))
    for index in range(shape[0]):
        if (whole := draw(st.sampled_from((None, None, False, True)))) is not None:
            masks[index] = whole
    masks[0, 0, :2] = False, True
    return LEVELS[places].astype(draw(st.sampled_from(DTYPES))), masks


def random_maps(seed: int, count: int = 9, size: int = 24) -> tuple[Array, Array]:
    """Maps float32 [B, S, S] in part with ties, and masks of rectangles in two of three images."""
    generator = np.random.default_rng(seed)
    maps = generator.normal(size=(count, size, size)).astype(np.float32)
    maps[::2] = np.round(maps[::2] * 4) / 4
    masks = np.zeros(maps.shape, np.bool_)
    for index in range(count):
        for _ in range(index % 3):
            row, column = generator.integers(0, size - 3, 2)
            height, width = generator.integers(1, size // 2, 2)
            masks[index, row : row + height, column : column + width] = True
    return maps + masks, masks


def kit_case(name: str, seed: int) -> dict[str, Array]:
    """Return the inputs of one of the kit's metric cases by the kit's rule.

    Args:
        name: plain, ties, large, all_defect, skewed or diagonal.
        seed: The seed in ``metrics_golden.json``.

    Returns:
        ``maps``, ``masks``, and for all but ``diagonal`` ``labels`` and ``scores``.
    """
    digest = hashlib.sha256(f"{seed}|metrics/{name}".encode()).digest()
    generator = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))
    if name == "diagonal":
        return _diagonal_case(generator)
    count, height, width = (12, 96, 96) if name == "large" else (8, 64, 80)
    masks = np.zeros((count, height, width), np.uint8)
    maps = generator.normal(0.0, 0.15, (count, height, width))
    y, x = np.mgrid[0:height, 0:width]
    for index in range(count):
        slope_x, slope_y = generator.uniform(-0.2, 0.2, 2)
        maps[index] += slope_x * x / width + slope_y * y / height
        if name != "all_defect" and index % 3 == 0:
            continue
        for _ in range(1 + int(generator.integers(0, 3))):
            defect = _defect(generator, y, x, height, width)
            masks[index][defect] = 1
            maps[index] += generator.uniform(0.1, 0.7) * defect
    maps = (maps - maps.min()) / (maps.max() - maps.min())
    labels = (masks.reshape(count, -1).max(1) > 0).astype(np.int64)
    scores = (0.5 * labels + generator.normal(0, 0.45, count)).astype(np.float32)
    if name == "ties":
        maps, scores = np.round(maps * 20) / 20, np.round(scores * 4) / 4
    maps = maps.astype(np.float32)
    if name == "skewed":
        maps = np.exp(12 * (maps.astype(np.float64) - 1)).astype(np.float32)
    return {"maps": maps, "masks": masks, "labels": labels, "scores": scores}


def _defect(generator: np.random.Generator, y: Array, x: Array, height: int, width: int) -> Array:
    if generator.random() < 0.5:
        top, left = int(generator.integers(0, height - 12)), int(generator.integers(0, width - 12))
        high, wide = int(generator.integers(2, 12)), int(generator.integers(2, 12))
        return np.asarray((y >= top) & (y < top + high) & (x >= left) & (x < left + wide))
    row, column = generator.uniform(0, height), generator.uniform(0, width)
    radius = generator.uniform(2, 9)
    return np.asarray((y - row) ** 2 + (x - column) ** 2 <= radius * radius)


def _diagonal_case(generator: np.random.Generator) -> dict[str, Array]:
    """Rectangles that touch at a corner only, so that 4- and 8-connectivity differ."""
    masks = np.zeros((4, 48, 48), np.uint8)
    for mask in masks:
        row, column = int(generator.integers(4, 20)), int(generator.integers(4, 20))
        mask[row : row + 6, column : column + 6] = 1
        mask[row + 6 : row + 18, column + 6 : column + 11] = 1
    maps = generator.uniform(0, 1, masks.shape) * 0.6 + masks * generator.uniform(0, 0.6, masks.shape)
    maps[:, :, :24] += 0.15
    return {"maps": maps.astype(np.float32), "masks": masks}
