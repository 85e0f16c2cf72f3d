"""Window-based features (paper, section 4.2)."""

from __future__ import annotations

from dataclasses import dataclass

from zsad.parts import BuildContext
from zsad.streams import VisionRequest, WindowRequest
from zsad_plugins.winclip.options import WindowOptions


@dataclass(frozen=True)
class WindowFeatures:
    """Asks the pass for the class feature of every window, scale by scale."""

    windows: tuple[WindowRequest, ...]

    def request(self) -> VisionRequest:
        """Return the windows."""
        return VisionRequest(windows=self.windows)


def build(options: WindowOptions, context: BuildContext) -> WindowFeatures:
    """Build the request for the given scales."""
    return WindowFeatures(
        tuple(WindowRequest(f"windows.{size}", size, options.stride) for size in options.sizes)
    )
