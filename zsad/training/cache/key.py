"""What decides the content of a cache of features, as comparable data.

Methods that read the same of the same images share a cache, whatever they call what they read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Literal

import torch
from pydantic import BaseModel
from torch import nn

from zsad import __version__
from zsad.backbones.clip import state_digest
from zsad.detect.detector import Detector
from zsad.errors import InputError
from zsad.streams import TokenRequest, VisionRequest, WindowRequest

FORMAT = 2
"""Counts up when the files of a cache change."""

StoredPrecision = Literal["exact", "float16"]
"""``exact`` loses nothing; ``float16`` halves what a float32 tower's features take."""

Place = TokenRequest | WindowRequest
"""Where tokens are read; without a name it is the same for every method."""


@dataclass(frozen=True)
class Reading:
    """What a method reads of a pass, in an order that does not depend on the method.

    Attributes:
        places: The distinct places, without names.
        named: The method's token sets in its own order: name, and number of the place.
    """

    places: tuple[Place, ...]
    named: tuple[tuple[str, int], ...]


def reading_of(request: VisionRequest) -> Reading:
    """Sort out what a request reads; a place that it reads under several names counts once."""
    requests: list[Place] = [*request.tokens, *request.windows]
    nameless = [replace(entry, name="") for entry in requests]
    places = sorted(set(nameless), key=lambda place: _text(plain(place)))
    numbers = [places.index(place) for place in nameless]
    names = [entry.name for entry in requests]
    return Reading(tuple(places), tuple(zip(names, numbers, strict=True)))


def describe(
    detector: Detector, source: str, *, images: int, batch_size: int, shard_size: int, dtype: StoredPrecision
) -> dict[str, Any]:
    """Return everything that decides the bytes of a cache, as plain data.

    Beside what is read of which images, that is what rounding depends on: the kind of device, torch, and
    which images share a pass.

    Args:
        detector: Whose features are kept.
        source: Key of the examples.
        images: Their number.
        batch_size: Images per pass.
        shard_size: Images per file.
        dtype: The stored precision.

    Raises:
        InputError: A part reads something that cannot be described.
    """
    encode_key, request = detector.encode_key, detector.reading.request
    try:
        reads = [plain(place) for place in reading_of(request).places]
        side_inputs = [
            {"part": part.spec.name, "factory": part.spec.factory, "options": plain(part.options),
             "state": _states(built)}
            for part, built in detector.auxiliary_parts()
        ]  # fmt: skip
    except TypeError as error:
        raise InputError(
            f"the features of '{detector.recipe.method}' cannot be cached: {error}; use --no-cache"
        ) from error
    return {
        "format": FORMAT,
        "versions": {"zsad": __version__, "torch": str(torch.__version__)},
        "device": detector.backbone.device.type,
        "backbone": encode_key.backbone,
        "profile": plain(encode_key.profile),
        "input": plain(detector.reading.form._asdict()),
        "reads": reads,
        "cls_ln_post": request.cls_ln_post,
        "auxiliary": sorted(side_inputs, key=_text),
        "source": source,
        "images": images,
        "images_per_pass": batch_size,
        "images_per_file": shard_size,
        "precision": dtype,
    }


def key_of(description: Mapping[str, Any]) -> str:
    """Return the name of a cache: the start of its description's hash."""
    return hashlib.sha256(_text(description).encode()).hexdigest()[:20]


def plain(value: object) -> Any:
    """Return a value as data that JSON can say and that is the same in every process.

    Raises:
        TypeError: Something else than dataclasses, pydantic models, collections and plain values.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (tuple, list)):
        return [plain(entry) for entry in value]
    if isinstance(value, (set, frozenset)):
        return sorted((plain(entry) for entry in value), key=_text)
    if isinstance(value, Mapping):
        return {str(name): plain(entry) for name, entry in value.items()}
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if isinstance(value, BaseModel):
        return {"is": kind, **value.model_dump(mode="json")}
    if is_dataclass(value) and not isinstance(value, type):
        return {"is": kind, **{entry.name: plain(getattr(value, entry.name)) for entry in fields(value)}}
    raise TypeError(f"{kind} is not a frozen dataclass of plain values")


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _states(part: object) -> dict[str, str]:
    """Return the hash of every module that a part is or holds: a file's weights can change, not its name."""
    held = {"": part, **getattr(part, "__dict__", {})}
    return {
        name: state_digest(module.state_dict())
        for name, module in held.items()
        if isinstance(module, nn.Module)
    }
