"""One pass for all methods that agree in backbone, profile and image size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from zsad.backbones.precision import full_float32
from zsad.errors import InputError
from zsad.streams import VisionRequest
from zsad.values import Features, Sample

if TYPE_CHECKING:
    from zsad.detect.detector import Detector


def group_by_pass(detectors: Sequence[Detector]) -> list[list[Detector]]:
    """Group detectors whose encode keys agree, in the order of their first member.

    A detector that injects tokens shares its passes only with itself: what they hold depends on its
    learned parameters.
    """
    groups: dict[object, list[Detector]] = {}
    for detector in detectors:
        # Within a process one loaded backbone serves them all; hashing its weights can wait.
        source = detector.injector and id(detector.injector)
        key = (id(detector.backbone), detector.recipe.profile, detector.recipe.image_size, source)
        groups.setdefault(key, []).append(detector)
    return list(groups.values())


@torch.no_grad()
def encode_together(detectors: Sequence[Detector], samples: Sequence[Sample]) -> list[Features]:
    """Encode samples for several methods in one pass.

    Equal streams, terms and readouts are computed once, and so are equal side inputs.

    Args:
        detectors: Methods of one group (:func:`group_by_pass`).
        samples: The images.

    Returns:
        One set of features per detector, in their order.

    Raises:
        InputError: The detectors do not share their passes, or their side inputs clash.
    """
    return run_pass(detectors, samples)


@full_float32()
def run_pass(detectors: Sequence[Detector], samples: Sequence[Sample]) -> list[Features]:
    """Do what :func:`encode_together` does, and record gradients if torch is told to.

    They reach what is learned before or within the pass: injected tokens, an adapter of the tower. The pass
    before the injection, whose image feature the tokens are made of, stays without them.
    """
    if len(group_by_pass(detectors)) != 1:
        names = ", ".join(detector.recipe.method for detector in detectors)
        raise InputError(f"methods {names} differ in backbone, profile or image size and cannot share a pass")
    first = detectors[0]
    pixels = first.tensor(samples)
    auxiliary = _side_inputs(detectors, samples, pixels)
    injected = prepass = None
    if first.injector is not None:
        with torch.no_grad():
            (plain,) = first.tower(pixels, [VisionRequest(cls_ln_post=first.request.cls_ln_post)])
            before = first.features(plain, samples, auxiliary)
        prepass = before.image_feature
        injected = first.injector.inject(before)
    outputs = first.tower(pixels, [detector.request for detector in detectors], auxiliary, injected)
    return [
        detector.features(output, samples, auxiliary, prepass)
        for detector, output in zip(detectors, outputs, strict=True)
    ]


def _side_inputs(
    detectors: Sequence[Detector], samples: Sequence[Sample], pixels: Tensor
) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    sources: dict[str, object] = {}
    done: set[str] = set()
    for detector in detectors:
        for part, built in detector.auxiliary_parts():
            identity = f"{part.spec.name} {part.options!r}"
            if identity in done:
                continue
            done.add(identity)
            for name, tensor in built(samples, pixels).items():
                if name in found:
                    raise InputError(f"both {sources[name]} and {identity} compute the side input '{name}'")
                found[name], sources[name] = tensor, identity
    return found
