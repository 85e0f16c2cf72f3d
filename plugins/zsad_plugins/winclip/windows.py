"""Window-based features (paper, section 4.2)."""

from __future__ import annotations

from zsad.parts import BuildContext
from zsad.streams import TokenRequest, VisionRequest, WindowRequest
from zsad_plugins.winclip.options import WindowOptions


def windows(options: WindowOptions, context: BuildContext) -> VisionRequest:
    """Ask the pass for the class feature of every window, scale by scale, and for patches if wanted."""
    scales = (WindowRequest(f"windows.{size}", size, options.stride) for size in options.sizes)
    if not options.patches:
        return VisionRequest(windows=tuple(scales))
    last = TokenRequest(f"patches.{context.depth}", context.depth, stage="ln_post")
    return VisionRequest((last,), tuple(scales))
