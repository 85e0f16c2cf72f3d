"""From requests to detectors: backbone, adapter, recipe, learned weights."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from zsad.backbones.clip import ClipBackbone
from zsad.backbones.loading import load_backbone
from zsad.detect.detector import Detector, backbone_facts
from zsad.detect.memory_file import load_memories
from zsad.detect.request import DetectorRequest
from zsad.errors import InputError, ZsadWarning
from zsad.plugin.host import Host, get_host
from zsad.recipe.resolution import resolve
from zsad.weights.loading import load_embedded_weights, load_weights


def load(
    request: DetectorRequest, host: Host | None = None, backbone: ClipBackbone | None = None
) -> Detector:
    """Load a method on a backbone.

    Args:
        request: What is wanted.
        host: Plugin host, by default the process's own.
        backbone: The request's backbone without its adapter, where it is loaded already.

    Raises:
        InputError: Whatever does not exist or does not fit, named in one sentence.
        ZsadError: The hub cannot be reached.
    """
    host = host or get_host()
    request.check(host)
    return _detector(request, host, _adapted(backbone or _backbone(request, host), request.adapter))


def load_together(requests: Sequence[DetectorRequest], host: Host | None = None) -> list[Detector]:
    """Load several methods; a backbone that several of them run on is loaded once.

    Args:
        requests: What is wanted.
        host: Plugin host, by default the process's own.

    Raises:
        InputError: Whatever does not exist or does not fit, named in one sentence.
        ZsadError: The hub cannot be reached.
    """
    host = host or get_host()
    for request in requests:
        request.check(host)
    loaded: dict[tuple[str | Path | None, ...], ClipBackbone] = {}
    detectors = []
    for request in requests:
        key = (request.backbone, request.device, request.dtype, request.adapter)
        if key not in loaded:
            loaded[key] = _adapted(_backbone(request, host), request.adapter)
        detectors.append(_detector(request, host, loaded[key]))
    return detectors


def _backbone(request: DetectorRequest, host: Host) -> ClipBackbone:
    return load_backbone(request.backbone, request.device, request.dtype, host=host)


def _adapted(backbone: ClipBackbone, adapter: Path | None) -> ClipBackbone:
    if adapter is None:
        return backbone
    from zsad.weights.adapter.lora import load_adapter  # PEFT takes seconds to import

    return load_adapter(backbone, adapter)


def _detector(request: DetectorRequest, host: Host, backbone: ClipBackbone) -> Detector:
    recipe = resolve(
        host,
        request.method,
        backbone_facts(backbone),
        overrides=request.overrides,
        image_size=request.image_size,
    )
    detector = Detector(backbone, recipe, seed=request.seed)
    if recipe.recipe.remark and recipe.fidelity != "composed":  # of other parts it would say what is not so
        warnings.warn(recipe.recipe.remark, ZsadWarning, stacklevel=2)
    learnable = {part.key: detector.parts[part.key] for part in recipe.learnable}
    shipped = None if backbone.adapter else recipe.recipe.weights.get(backbone.arch)
    if request.weights is not None:
        detector.cards = load_weights(learnable, recipe, request.weights, backbone.sha256)
    elif learnable and not request.untrained and shipped is not None:
        detector.cards = load_embedded_weights(learnable, recipe, shipped, backbone.sha256)
    missing = [key for key in learnable if key not in detector.cards]
    if missing and not request.untrained:
        raise InputError(
            f"method '{request.method}' needs learned weights for {', '.join(missing)}; pass --weights FILE, "
            "or --untrained to run it with random ones"
        )
    if request.memory is not None:
        detector.memories.update(load_memories(request.memory, detector))
    return detector
