"""What is read of a pass when a method has no attention refiner: the ordinary stream at the taps."""

from __future__ import annotations

from dataclasses import dataclass

from zsad.backbones.profiles import Stage
from zsad.backbones.streams import Stream, TokenRequest, VisionRequest


def tap_requests(
    blocks: tuple[int, ...], stage: Stage, stream: Stream | None = None, name: str = "tokens"
) -> tuple[TokenRequest, ...]:
    """Return one token request per tapped block, named ``name.block``."""
    return tuple(TokenRequest(f"{name}.{block}", block, stream, stage=stage) for block in blocks)


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
