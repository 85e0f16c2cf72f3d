"""Metrics by name, as the hook ``zsad_metrics`` offers them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from zsad.metrics import overlap, ranking
from zsad.metrics.curve import Curve
from zsad.metrics.states import Level, State


@runtime_checkable
class Metric(Protocol):
    """A figure computed from a state.

    Attributes:
        level: ``"image"`` for metrics of an ``ImageState``, ``"pixel"`` for those of a ``PixelState``,
            ``"severity"`` for those of a :class:`zsad.metrics.severity.SeverityState`.
    """

    @property
    def level(self) -> Level:
        """Which state the metric is computed from."""
        ...

    def compute(self, state: Any) -> float:
        """Return the figure.

        Raises:
            UndefinedMetricError: If it has none.
        """
        ...


@runtime_checkable
class AtThreshold(Protocol):
    """What a metric offers beside the figure if that is the figure of one threshold, tuned on the labels."""

    def threshold(self, state: Any) -> float | None:
        """Return the threshold of a state that has a figure, or None if the metric has none."""
        ...


@dataclass(frozen=True)
class CurveMetric:
    """A metric that needs only the state's curve; all metrics of one state share its sorting.

    Attributes:
        level: Which state it is computed from.
        function: The figure of a curve.
        at: The threshold of a curve that has the figure, for figures of one threshold.
    """

    level: Level
    function: Callable[[Curve], float]
    at: Callable[[Curve], float] | None = None

    def compute(self, state: State) -> float:
        """Return the figure.

        Raises:
            UndefinedMetricError: If it has none.
            TypeError: If the state is of the other level.
        """
        if state.level != self.level:
            raise TypeError(f"a metric of level '{self.level}' cannot use a {type(state).__name__}")
        return self.function(state.curve)

    def threshold(self, state: State) -> float | None:
        """Return the threshold that the figure belongs to, or None where it belongs to no single one."""
        return None if self.at is None else self.at(state.curve)


def image_auroc() -> Metric:
    """Build AUROC of image scores."""
    return CurveMetric("image", ranking.area_under_roc)


def image_ap() -> Metric:
    """Build average precision of image scores."""
    return CurveMetric("image", ranking.average_precision)


def image_f1_max() -> Metric:
    """Build largest F1 of image scores."""
    return CurveMetric("image", ranking.largest_f1, ranking.threshold_of_largest_f1)


def pixel_auroc() -> Metric:
    """Build AUROC of pixel scores."""
    return CurveMetric("pixel", ranking.area_under_roc)


def pixel_ap() -> Metric:
    """Build average precision of pixel scores."""
    return CurveMetric("pixel", ranking.average_precision)


def pixel_f1_max() -> Metric:
    """Build largest F1 of pixel scores."""
    return CurveMetric("pixel", ranking.largest_f1, ranking.threshold_of_largest_f1)


def aupro() -> Metric:
    """Build exact AUPRO up to a false-positive rate of 0.3."""
    return CurveMetric("pixel", overlap.area_under_pro)


def aupro_legacy200() -> Metric:
    """Build AUPRO as the papers' code approximates it."""
    return CurveMetric("pixel", overlap.area_under_pro_legacy200)
