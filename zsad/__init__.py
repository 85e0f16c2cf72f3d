"""Vision-language zero-shot anomaly detection: methods as recipes of swappable parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from zsad.detect.detector import Detector
    from zsad.weights.loading import WeightsSource

__all__ = ["__version__", "load"]
__version__ = "0.1.0"


def load(
    method: str,
    *,
    backbone: str | None = None,
    weights: WeightsSource | None = None,
    adapter: str | Path | None = None,
    **options: Any,
) -> Detector:
    """Make a method runnable on a backbone.

    Torch is imported here and not with the package, so that ``import zsad`` stays fast.

    Args:
        method: Name of a method, or ``distribution:name`` where two distributions claim the name.
        backbone: A name that ``zsad backbones`` lists, ``ARCH:PRETRAINED``, ``hf-hub:...``, ``ARCH@FILE`` or
            ``ARCH@random:SEED``; None for the default one.
        weights: Learned parameters of the method; needed where a part of it is learned and its plugin ships
            none for the backbone. A mapping from part to file where parts come from several files.
        adapter: Folder of an adapter (LoRA) that was learned on the backbone.
        **options: Passed on to ``zsad.detect.loading.load_detector``: image size, device, dtype,
            overridden parts.

    Returns:
        The detector, in eval mode, on its device.

    Raises:
        InputError: If the method, the backbone, the weights, the adapter or an option does not exist or
            does not fit.
    """
    from zsad.detect.loading import load_detector

    return load_detector(method, backbone=backbone, weights=weights, adapter=adapter, **options)
