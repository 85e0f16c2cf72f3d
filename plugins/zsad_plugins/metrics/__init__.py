"""The metrics of the field."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import MetricSpec

zsad_api = 1

_BUILDERS = "zsad.metrics.metric"


@hookimpl
def zsad_metrics() -> Iterator[MetricSpec]:
    """Yield the metrics, in the order of the columns of ``summary.csv``."""
    for level in ("image", "pixel"):
        yield MetricSpec(
            name=f"{level}_auroc",
            factory=f"{_BUILDERS}:{level}_auroc",
            summary=f"area under the ROC curve of {level} scores",
        )
        yield MetricSpec(
            name=f"{level}_ap",
            factory=f"{_BUILDERS}:{level}_ap",
            summary=f"average precision of {level} scores",
        )
        yield MetricSpec(
            name=f"{level}_f1_max",
            factory=f"{_BUILDERS}:{level}_f1_max",
            summary=f"F1 of {level} scores at the best threshold, chosen on the test labels",
            uses_test_labels=True,
        )
    yield MetricSpec(
        name="aupro",
        factory=f"{_BUILDERS}:aupro",
        summary="area under per-region overlap up to a false-positive rate of 0.3, exact",
    )
    yield MetricSpec(
        name="aupro_legacy200",
        factory=f"{_BUILDERS}:aupro_legacy200",
        summary="AUPRO as the papers' code approximates it by 200 thresholds, to compare with papers only",
    )
