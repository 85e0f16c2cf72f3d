"""Load the methods of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping

from zsad.detect.loading import load_together
from zsad.evaluation.cells import Contestant
from zsad.evaluation.request import EvaluationRequest
from zsad.plugin.host import Host
from zsad.weights.loading import WeightsSource


def load_contestants(request: EvaluationRequest, host: Host) -> list[Contestant]:
    """Load the methods; the backbone is loaded once.

    Args:
        request: What is evaluated.
        host: Plugin host.

    Raises:
        InputError: Whatever does not exist or does not fit.
    """
    wanted = [request.with_memory(host, asked) for asked in request.detectors(host)]
    return [
        Contestant(detector, _weights_name(asked.weights, bool(detector.cards)))
        for asked, detector in zip(wanted, load_together(wanted, host), strict=True)
    ]


def _weights_name(source: WeightsSource | None, learned: bool) -> str:
    if source is None:
        return "embedded" if learned else ""
    if isinstance(source, Mapping):
        return ", ".join(f"{part}={path}" for part, path in source.items())
    return str(source)
