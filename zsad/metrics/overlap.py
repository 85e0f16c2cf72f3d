"""The area under the curve of per-region overlap: exact, and as the papers' code approximates it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from zsad.metrics.curve import Curve
from zsad.metrics.errors import UndefinedMetricError

LEGACY_LIMIT = 0.3
LEGACY_STEPS = 200


def area_under_pro(curve: Curve, limit: float = 0.3) -> float:
    """Return the area under mean region overlap against false-positive rate, up to a limit and divided by it.

    The curve starts at (0, 0), has a vertex at every distinct score, and is cut at the limit by linear
    interpolation (Bergmann et al., The MVTec Anomaly Detection Dataset, IJCV 2021, section 5.1.2).

    Args:
        curve: Of pixels.
        limit: The largest false-positive rate, in (0, 1].

    Raises:
        ValueError: If the limit lies outside (0, 1].
    """
    if not 0 < limit <= 1:
        raise ValueError(f"the limit of the false-positive rate has to lie in (0, 1], not be {limit}")
    end = limit * curve.n_normal
    # Later thresholds have their first normal pixel beyond the limit; one more for the interpolation.
    used = int(np.searchsorted(curve.false_alarms_above, end, side="right"))
    reached = curve.overlap[:used]
    across = np.zeros(2 * used + 2)
    across[1:-1:2], across[2:-1:2] = curve.false_alarms_above[:used], curve.false_alarms[:used]
    beyond = curve.false_alarms_above[used] if used < curve.thresholds.size else curve.n_normal
    across[-1] = beyond
    up = np.zeros(2 * used + 2)
    # Between two thresholds only normal pixels pass, so the overlap stays.
    up[3:-1:2], up[2:-1:2] = reached[:-1], reached
    up[-1] = up[-2]
    cut = int(np.searchsorted(across, end, side="right"))
    if cut < across.size:
        share = (end - across[cut - 1]) / (across[cut] - across[cut - 1])
        up[cut] = up[cut - 1] + share * (up[cut] - up[cut - 1])
        across[cut] = end
    return _trapezoids(across[: cut + 1], up[: cut + 1]) / end


def area_under_pro_legacy200(curve: Curve) -> float:
    """Return what the routine ``cal_pro_score`` returns that many papers' code shares.

    For comparison with such papers only (Chen et al., VAND 2023; Zhou et al. and Li et al., ICLR 2024; and
    others). It takes some 200 thresholds at equal distances between the smallest and the largest score,
    keeps those with a false-positive rate below 0.3, stretches the rates that remain to [0, 1], and
    neither interpolates to 0.3 nor starts at 0: with most scores near 0 it can be off by 0.2.

    Raises:
        UndefinedMetricError: Where that routine fails or returns NaN: all scores are equal, or its thresholds
            give fewer than two false-positive rates below 0.3.
    """
    thresholds = _equal_steps(curve)
    normal, known = curve.normal, curve.thresholds[::-1]
    rate = (normal.size - np.searchsorted(normal, thresholds, side="right")) / normal.size
    above = known.size - np.searchsorted(known, thresholds, side="right")
    overlap = np.concatenate(([0.0], curve.overlap))[above]
    kept = rate < LEGACY_LIMIT
    rate, overlap = rate[kept][::-1], overlap[kept][::-1]
    if not rate.size or rate[0] == rate[-1]:
        raise UndefinedMetricError(
            f"fewer than two false-positive rates below {LEGACY_LIMIT} at {LEGACY_STEPS} equal steps"
        )
    return _trapezoids((rate - rate[0]) / (rate[-1] - rate[0]), overlap)


def _equal_steps(curve: Curve) -> npt.NDArray[Any]:
    """Return the thresholds in the dtype of the scores, ascending, as the routine's arithmetic makes them."""
    low = min(curve.normal[0], curve.thresholds[-1])
    high = max(curve.normal[-1], curve.thresholds[0])
    step = (high - low) / curve.normal.dtype.type(LEGACY_STEPS)
    if not step:
        raise UndefinedMetricError("all scores are equal")
    return np.arange(low, high, step, dtype=curve.normal.dtype)


def _trapezoids(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> float:
    return float((np.diff(x) * (y[1:] + y[:-1])).sum() / 2)
