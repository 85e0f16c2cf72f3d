"""One file of a cache: a run of images, complete and unharmed or of no use."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, uint8

from zsad.files import atomic_write
from zsad.training.cache.packing import INCIDENCE, Packed

METADATA_KEY = "zsad"


class DamagedShardError(Exception):
    """A file is not what was written."""


def shard_path(folder: Path, number: int) -> Path:
    """Return the file of a cache that holds its run of images of that number, from 0."""
    return folder / f"shard-{number:05d}.safetensors"


def write_shard(folder: Path, number: int, packed: Packed) -> None:
    """Write a file, completely or not at all; equal content gives equal bytes.

    Args:
        folder: Of the cache, whose name is its key.
        number: Of the file.
        packed: The images.

    Raises:
        ZsadError: It cannot be written.
    """
    tensors = {**packed.rows, **packed.shared}
    about = {
        "key": folder.name,
        "shard": number,
        "places": packed.places,
        "class_names": packed.class_names,
    }
    about["sha256"] = _digest(tensors, about)
    # A single entry, because safetensors keeps several in no order.
    serialized = save(tensors, metadata={METADATA_KEY: json.dumps(about)})
    atomic_write(shard_path(folder, number), lambda stream: stream.write(serialized))


def open_shard(folder: Path, number: int, images: int) -> Packed:
    """Open a file; its tensors are views of the file, read when they are used.

    Args:
        folder: Of the cache, whose name is its key.
        number: Of the file.
        images: That it has to hold.

    Raises:
        FileNotFoundError: There is none.
        DamagedShardError: It is truncated, belongs elsewhere or cannot be read.
    """
    tensors, about = _read(shard_path(folder, number))
    try:
        known = (about["key"], about["shard"], len(about["class_names"])) == (folder.name, number, images)
        shared = {name: tensor for name, tensor in tensors.items() if name.startswith(INCIDENCE)}
        rows = {name: tensor for name, tensor in tensors.items() if name not in shared}
        packed = Packed(rows, shared, tuple(about["places"]), tuple(about["class_names"]))
    except (KeyError, TypeError) as error:
        raise DamagedShardError from error
    if not known or any(len(tensor) != images for tensor in rows.values()):
        raise DamagedShardError
    return packed


def check_shard(folder: Path, number: int, images: int) -> None:
    """Read a file from beginning to end and compare its content with its hash.

    Raises:
        FileNotFoundError: There is none.
        DamagedShardError: It is not what was written.
    """
    open_shard(folder, number, images)
    tensors, about = _read(shard_path(folder, number))
    if about.pop("sha256", None) != _digest(tensors, about):
        raise DamagedShardError


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    if not path.exists():
        raise FileNotFoundError(path)
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()[METADATA_KEY])
            return {name: file.get_tensor(name) for name in file.keys()}, dict(about)  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedShardError from error


def _digest(tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(uint8).numpy().data)
    return digest.hexdigest()
