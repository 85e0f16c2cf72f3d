"""Exact metrics of images and pixels: functions, mergeable states, and metrics by name. Needs no torch."""

from __future__ import annotations

from zsad.metrics.errors import UndefinedMetricError
from zsad.metrics.functional import aupro, aupro_legacy200, auroc, average_precision, f1_max
from zsad.metrics.metric import CurveMetric, Metric
from zsad.metrics.severity import SeverityMetric, SeverityState
from zsad.metrics.states import ImageState, PixelState, State

__all__ = [
    "CurveMetric",
    "ImageState",
    "Metric",
    "PixelState",
    "SeverityMetric",
    "SeverityState",
    "State",
    "UndefinedMetricError",
    "aupro",
    "aupro_legacy200",
    "auroc",
    "average_precision",
    "f1_max",
]
