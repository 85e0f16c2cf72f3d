"""Refined streams of self-correlation attention."""

from __future__ import annotations

from zsad.parts import BuildContext
from zsad.streams import SelfAttention, Stream, VisionRequest, tap_requests
from zsad_plugins.standard.options import SelfAttentionOptions


def self_attention(options: SelfAttentionOptions, context: BuildContext) -> VisionRequest:
    """Read a refined stream at the taps: D_l = D_{l-1} + OutProj(sum of softmax(x x^T) v)."""
    stream = Stream(options.start.resolve(context.depth), SelfAttention(options.pairs))
    return VisionRequest(tap_requests(context.taps, context.stage, stream, "+".join(options.pairs)))
