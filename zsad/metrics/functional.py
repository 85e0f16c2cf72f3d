"""Metrics as functions of arrays.

Scores are compared as they are, float64 ones as float64, and ties count as scikit-learn counts them.
Every function raises ``UndefinedMetricError`` where normal or anomalous items are missing, and ``ZsadError``
for a score that is not a finite number.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from zsad.metrics import overlap, ranking
from zsad.metrics.checks import as_labels, as_scores, check_batch
from zsad.metrics.curve import Curve, Unit, build_curve
from zsad.metrics.regions import split_maps


def auroc(scores: npt.ArrayLike, labels: npt.ArrayLike, unit: Unit = "images") -> float:
    """Return the area under the ROC curve, as ``sklearn.metrics.roc_auc_score``.

    Args:
        scores: Real numbers of any shape, higher for more anomalous.
        labels: Bool or whole numbers of the same shape, True for anomalous.
        unit: What the items are, for the error.

    Raises:
        UndefinedMetricError: ``"no normal images"`` or ``"no anomalous images"``.
        ZsadError: If a score is NaN or infinite.
    """
    return ranking.area_under_roc(_curve(scores, labels, unit))


def average_precision(scores: npt.ArrayLike, labels: npt.ArrayLike, unit: Unit = "images") -> float:
    """Return the average precision, as ``sklearn.metrics.average_precision_score``.

    Arguments and errors are those of ``auroc``. Without normal items it would be 1 for any scores, which
    says nothing about them: that counts as undefined.
    """
    return ranking.average_precision(_curve(scores, labels, unit))


def f1_max(scores: npt.ArrayLike, labels: npt.ArrayLike, unit: Unit = "images") -> float:
    """Return the largest F1 over the thresholds of ``sklearn.metrics.precision_recall_curve``.

    The threshold is chosen on the labels at hand. Arguments and errors are those of ``average_precision``.
    """
    return ranking.largest_f1(_curve(scores, labels, unit))


def aupro(maps: npt.ArrayLike, masks: npt.ArrayLike, limit: float = 0.3) -> float:
    """Return the exact area under per-region overlap; see ``zsad.metrics.overlap.area_under_pro``.

    Args:
        maps: [B, H, W] real numbers.
        masks: [B, H, W] bool or whole numbers. Regions are 8-connected; false positives are counted over
            the normal pixels of all B images.
        limit: The largest false-positive rate, in (0, 1].

    Raises:
        UndefinedMetricError: ``"no normal pixels"`` or ``"no anomalous pixels"``.
        ValueError: If the limit lies outside (0, 1].
        ZsadError: If a score is NaN or infinite.
    """
    return overlap.area_under_pro(_map_curve(maps, masks), limit)


def aupro_legacy200(maps: npt.ArrayLike, masks: npt.ArrayLike) -> float:
    """Return AUPRO as papers report it; see ``zsad.metrics.overlap.area_under_pro_legacy200``.

    Arguments and errors are those of ``aupro``.
    """
    return overlap.area_under_pro_legacy200(_map_curve(maps, masks))


def _curve(scores: npt.ArrayLike, labels: npt.ArrayLike, unit: Unit) -> Curve:
    values, anomalous = as_scores(scores), as_labels(labels)
    if values.shape != anomalous.shape:
        raise ValueError(f"scores have the shape {values.shape}, labels {anomalous.shape}")
    values, anomalous = values.reshape(-1), anomalous.reshape(-1)
    check_batch(values, anomalous, 1)
    return build_curve(values[~anomalous], values[anomalous], unit=unit)


def _map_curve(maps: npt.ArrayLike, masks: npt.ArrayLike) -> Curve:
    values, anomalous = as_scores(maps), as_labels(masks)
    check_batch(values, anomalous, 3)
    split = split_maps(values, anomalous)
    nothing = np.empty(0, values.dtype)
    return build_curve(
        np.concatenate([nothing, *split.normal]),
        np.concatenate([nothing, *split.anomalous]),
        np.concatenate([np.empty(0, np.int64), *split.areas]),
        split.regions,
        "pixels",
    )
