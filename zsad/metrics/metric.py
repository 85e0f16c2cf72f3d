"""Metrics by name, as the hook ``zsad_metrics`` offers them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

from zsad.errors import InputError, nearest
from zsad.metrics import overlap, ranking
from zsad.metrics.curve import Curve
from zsad.metrics.states import Level, State

Options = Mapping[str, Any]


@runtime_checkable
class Metric(Protocol):
    """A figure computed from a state.

    Attributes:
        level: ``"image"`` for metrics of an ``ImageState``, ``"pixel"`` for those of a ``PixelState``.
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


@dataclass(frozen=True)
class CurveMetric:
    """A metric that needs only the state's curve; all metrics of one state share its sorting.

    Attributes:
        level: Which state it is computed from.
        function: The figure of a curve.
    """

    level: Level
    function: Callable[[Curve], float]

    def compute(self, state: State) -> float:
        """Return the figure.

        Raises:
            UndefinedMetricError: If it has none.
            TypeError: If the state is of the other level.
        """
        if state.level != self.level:
            raise TypeError(f"a metric of level '{self.level}' cannot use a {type(state).__name__}")
        return self.function(state.curve)


def image_auroc(options: Options) -> Metric:
    """Build AUROC of image scores."""
    return _without_options("image_auroc", "image", ranking.area_under_roc, options)


def image_ap(options: Options) -> Metric:
    """Build average precision of image scores."""
    return _without_options("image_ap", "image", ranking.average_precision, options)


def image_f1_max(options: Options) -> Metric:
    """Build largest F1 of image scores."""
    return _without_options("image_f1_max", "image", ranking.largest_f1, options)


def pixel_auroc(options: Options) -> Metric:
    """Build AUROC of pixel scores."""
    return _without_options("pixel_auroc", "pixel", ranking.area_under_roc, options)


def pixel_ap(options: Options) -> Metric:
    """Build average precision of pixel scores."""
    return _without_options("pixel_ap", "pixel", ranking.average_precision, options)


def pixel_f1_max(options: Options) -> Metric:
    """Build largest F1 of pixel scores."""
    return _without_options("pixel_f1_max", "pixel", ranking.largest_f1, options)


def aupro(options: Options) -> Metric:
    """Build exact AUPRO.

    Args:
        options: ``limit``, the largest false-positive rate in (0, 1], 0.3 by default.

    Raises:
        InputError: Unknown option, or a limit outside (0, 1].
    """
    _refuse_unknown("aupro", options, ("limit",))
    limit = options.get("limit", 0.3)
    if isinstance(limit, bool) or not isinstance(limit, (int, float)) or not 0 < limit <= 1:
        raise InputError(f"aupro: limit has to be a number in (0, 1], not {limit!r}")
    return CurveMetric("pixel", partial(overlap.area_under_pro, limit=float(limit)))


def aupro_legacy200(options: Options) -> Metric:
    """Build AUPRO as the papers' code approximates it."""
    return _without_options("aupro_legacy200", "pixel", overlap.area_under_pro_legacy200, options)


def _without_options(
    name: str, level: Level, function: Callable[[Curve], float], options: Options
) -> CurveMetric:
    _refuse_unknown(name, options, ())
    return CurveMetric(level, function)


def _refuse_unknown(name: str, options: Options, known: tuple[str, ...]) -> None:
    for option in options:
        if option not in known:
            raise InputError(f"{name} has no option '{option}'{nearest(option, known)}")
