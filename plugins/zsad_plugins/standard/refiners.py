"""Refined streams of self-correlation attention."""

from __future__ import annotations

from dataclasses import dataclass

from zsad.parts import BuildContext
from zsad.streams import SelfAttention, Stream, VisionRequest, tap_requests
from zsad_plugins.standard.options import SelfAttentionOptions


@dataclass(frozen=True)
class SelfAttentionStream:
    """Reads a refined stream at the taps: D_l = D_{l-1} + OutProj(sum of softmax(x x^T) v)."""

    request_: VisionRequest

    def request(self) -> VisionRequest:
        """Return the taps of the refined stream."""
        return self.request_


def build_self_attention(options: SelfAttentionOptions, context: BuildContext) -> SelfAttentionStream:
    """Build the refiner for a tower's depth and taps."""
    stream = Stream(options.start.resolve(context.depth), SelfAttention(options.pairs))
    name = "+".join(options.pairs)
    return SelfAttentionStream(VisionRequest(tap_requests(context.taps, context.stage, stream, name)))
