"""AUROC, average precision and largest F1 of a curve."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from zsad.metrics.curve import Curve


def area_under_roc(curve: Curve) -> float:
    """Return the share of pairs in which the anomalous item scores higher; a tie counts half.

    The pairs are counted, so the value is exact for up to 2**62 of them.
    """
    equal = np.diff(curve.hits, prepend=0)
    # Twice the normal items below a threshold plus those that tie with it.
    beaten = 2 * curve.n_normal - curve.false_alarms - curve.false_alarms_above
    return int((equal * beaten).sum()) / (2 * curve.n_normal * curve.n_anomalous)


def average_precision(curve: Curve) -> float:
    """Return the mean over anomalous items of the precision at their score (no interpolation)."""
    precision = curve.hits / (curve.hits + curve.false_alarms)
    return float((np.diff(curve.hits, prepend=0) * precision).sum() / curve.n_anomalous)


def largest_f1(curve: Curve) -> float:
    """Return the largest F1 over all thresholds."""
    return float(_f1(curve).max())


def threshold_of_largest_f1(curve: Curve) -> float:
    """Return the highest score from which on to count as anomalous gives the largest F1."""
    return float(curve.thresholds[_f1(curve).argmax()])


def _f1(curve: Curve) -> npt.NDArray[np.float64]:
    """Return F1 at every threshold, [K]."""
    values: npt.NDArray[np.float64] = 2 * curve.hits / (curve.hits + curve.false_alarms + curve.n_anomalous)
    return values
