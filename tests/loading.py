"""A detector in one line, on a backbone that is loaded already or by its name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zsad.backbones.clip import ClipBackbone
from zsad.detect.detector import Detector
from zsad.detect.loading import load
from zsad.detect.request import DetectorRequest
from zsad.plugin.host import Host
from zsad.recipe.settings import Settings
from zsad_plugins.drawn.procedural import generate


def load_detector(
    method: str,
    *,
    backbone: str | ClipBackbone | None = None,
    adapter: str | Path | None = None,
    overrides: Sequence[str] = (),
    host: Host | None = None,
    **wanted: Any,
) -> Detector:
    """Load what a request for a method asks for.

    Args:
        method: Its name.
        backbone: A name, a loaded backbone, or None for the default.
        adapter: Folder of an adapter.
        overrides: As ``--set`` takes them.
        host: Plugin host, by default the process's own.
        **wanted: Further fields of the request.
    """
    request = DetectorRequest(
        method=method,
        backbone=backbone if isinstance(backbone, str) else None,
        adapter=None if adapter is None else Path(adapter),
        overrides=Settings.parse(overrides),
        **wanted,
    )
    return load(request, host, None if isinstance(backbone, str) else backbone)


def with_references(detector: Detector, count: int = 2) -> Detector:
    """Give a few-shot method so many images, and as many abnormal ones with masks if it takes them."""
    store = detector.recipe.reference_store
    if store is not None:
        drawn = [generate(1, index, size=160, families=["gear"]) for index in range(40)]
        normal = [one.image for one in drawn if not one.mask.any()]
        abnormal = [one for one in drawn if one.mask.any()][: count * store.abnormal_references]
        images, masks = [one.image for one in abnormal], [one.mask for one in abnormal]
        detector.remember(normal[:count], abnormal=images, masks=masks)
    return detector
