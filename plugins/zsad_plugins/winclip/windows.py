"""Window-based features (paper, section 4.2)."""

from __future__ import annotations

from zsad.parts import BuildContext
from zsad.streams import VisionRequest, WindowRequest
from zsad_plugins.winclip.options import WindowOptions


def windows(options: WindowOptions, context: BuildContext) -> VisionRequest:
    """Ask the pass for the class feature of every window, scale by scale."""
    scales = (WindowRequest(f"windows.{size}", size, options.stride) for size in options.sizes)
    return VisionRequest(windows=tuple(scales))
