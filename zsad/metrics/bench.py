"""How fast the metrics are, beside scikit-learn on the same pixels."""

from __future__ import annotations

import math
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from zsad.errors import ZsadError
from zsad.metrics import overlap, ranking
from zsad.metrics.states import PixelState

BATCH = 8
"""Images per update, as an evaluation would hand them over."""

Maps = npt.NDArray[np.float32]
Masks = npt.NDArray[np.bool_]


def bench_metrics(pixels: int = 10_000_000, seed: int = 0) -> list[dict[str, Any]]:
    """Time four pixel metrics of ours and three of scikit-learn on the same maps.

    Args:
        pixels: About how many; maps are square, of at most 512 x 512.
        seed: Seed of the maps.

    Returns:
        A row each for zsad and scikit-learn: ``implementation``, ``metrics``, ``pixels``, ``seconds``,
        ``memory_mib`` (the largest memory allocated meanwhile), ``ratio`` (seconds relative to scikit-learn)
        and ``largest_difference`` (of the three values from scikit-learn's).

    Raises:
        ZsadError: If scikit-learn is not installed.
    """
    theirs = _sklearn_metrics()
    maps, masks = synthetic_maps(pixels, seed)
    _warm_up()
    mine = _measure(lambda: _own(maps, masks))
    other = _measure(lambda: theirs(maps.ravel(), masks.ravel()))
    difference = max(abs(a - b) for a, b in zip(mine[0], other[0], strict=False))
    return [
        {
            "implementation": name,
            "metrics": metrics,
            "pixels": maps.size,
            "seconds": round(seconds, 4),
            "memory_mib": round(memory / 2**20, 1),
            "ratio": round(seconds / other[1], 4),
            "largest_difference": largest,
        }
        for name, metrics, (_, seconds, memory), largest in (
            ("zsad", "AUROC, AP, F1-max, AUPRO", mine, difference),
            ("scikit-learn", "AUROC, AP, F1-max", other, 0.0),
        )
    ]


def synthetic_maps(pixels: int, seed: int) -> tuple[Maps, Masks]:
    """Return noise maps [B, S, S] float32 with brighter discs, the defects, in two images of three.

    Args:
        pixels: About how many pixels in all, at least 256.
        seed: Seed of noise and discs.
    """
    generator = np.random.default_rng(seed)
    side = min(512, max(8, math.isqrt(max(pixels, 256) // 4)))
    count = max(4, round(pixels / side**2))
    maps = generator.standard_normal((count, side, side), np.float32)
    masks = np.zeros(maps.shape, np.bool_)
    rows, columns = np.ogrid[:side, :side]
    for index in range(count):
        for _ in range(index % 3):
            row, column = generator.integers(0, side, 2)
            radius = generator.uniform(side / 40, side / 8)
            masks[index] |= (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
    maps += 1.5 * masks
    return maps, masks


def _own(maps: Maps, masks: Masks) -> tuple[float, ...]:
    state = PixelState()
    for start in range(0, len(maps), BATCH):
        batch = slice(start, start + BATCH)
        state.update(maps[batch], masks[batch], [f"{index}" for index in range(len(maps))[batch]])
    curve = state.curve
    return (
        ranking.area_under_roc(curve),
        ranking.average_precision(curve),
        ranking.largest_f1(curve),
        overlap.area_under_pro(curve),
    )


def _sklearn_metrics() -> Callable[[Maps, Masks], tuple[float, ...]]:
    try:
        from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score
    except ImportError as error:
        raise ZsadError("scikit-learn is not installed; run pip install scikit-learn") from error

    def compute(scores: Maps, labels: Masks) -> tuple[float, ...]:
        precision, recall, _ = precision_recall_curve(labels, scores)
        f1 = 2 * precision * recall / np.maximum(precision + recall, np.finfo(np.float64).tiny)
        roc, average = roc_auc_score(labels, scores), average_precision_score(labels, scores)
        return float(roc), float(average), float(f1.max())

    return compute


def _warm_up() -> None:
    """Import scipy before the clock starts, as scikit-learn was."""
    _own(*synthetic_maps(256, 0))


def _measure(run: Callable[[], tuple[float, ...]]) -> tuple[tuple[float, ...], float, int]:
    """Return what a function returns, the seconds it took, and the most memory it held."""
    tracemalloc.start()
    try:
        start = time.perf_counter()
        values = run()
        seconds = time.perf_counter() - start
        return values, seconds, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
