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
    # fmt: off
    for level in ("image", "pixel"):
        yield MetricSpec(f"{level}_auroc", f"{_BUILDERS}:{level}_auroc",
                         f"area under the ROC curve of {level} scores")
        yield MetricSpec(f"{level}_ap", f"{_BUILDERS}:{level}_ap", f"average precision of {level} scores")
        yield MetricSpec(f"{level}_f1_max", f"{_BUILDERS}:{level}_f1_max",
                         f"F1 of {level} scores at the best threshold, chosen on the test labels",
                         uses_test_labels=True)
    yield MetricSpec("aupro", f"{_BUILDERS}:aupro",
                     "area under per-region overlap up to a false-positive rate of 0.3, exact")
    yield MetricSpec("aupro_legacy200", f"{_BUILDERS}:aupro_legacy200",
                     "AUPRO as the papers' code approximates it by 200 thresholds, to compare with papers "
                     "only")
    for name, what in (("c_index", "concordance index"), ("kendall", "Kendall's tau-b, from -1 to 1,")):
        yield MetricSpec(f"severity_{name}", f"zsad.metrics.severity:{name}",
                         f"{what} of image scores with levels of severity, normal images being of level 0")
        yield MetricSpec(f"severity_{name}_anomalous", f"zsad.metrics.severity:{name}_anomalous",
                         f"{what} of image scores with levels of severity, among anomalous images alone")
    # fmt: on
