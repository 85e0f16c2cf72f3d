"""The error of a metric that has no value."""

from __future__ import annotations

from zsad.errors import ZsadError


class UndefinedMetricError(ZsadError):
    """The metric has no value for these data; no number stands in for it.

    Attributes:
        reason: What is missing, for example ``"no normal images"``; also the message.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
