"""What is read of a pass when a method has no attention refiner: the ordinary stream at the taps."""

from __future__ import annotations

from dataclasses import dataclass

from zsad.streams import VisionRequest, tap_requests
from zsad.values import Stage


@dataclass(frozen=True)
class PlainTaps:
    """Reads the ordinary stream.

    Attributes:
        blocks: Tapped blocks, counted from 1.
        stage: Stage of the tokens.
    """

    blocks: tuple[int, ...]
    stage: Stage

    def request(self) -> VisionRequest:
        """Return the taps of the ordinary stream."""
        return VisionRequest(tap_requests(self.blocks, self.stage))
