"""Features, masks and labels as the named tensors of a file, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zsad.training.cache.key import Reading, StoredPrecision
from zsad.training.reading import PreparedExample
from zsad.values import Features, Grid, TokenSet, Windows

MASKS, ANOMALOUS, WEIGHTS, IMAGE, PREPASS = "masks", "anomalous", "weights", "image_feature", "prepass"
TOKENS, CLASS, INCIDENCE, AUXILIARY = "tokens.", "class_token.", "incidence.", "auxiliary."
INJECTED, REGISTERS = "injected.", "registers."


@dataclass(frozen=True)
class Packed:
    """Images as named tensors.

    Attributes:
        rows: Tensors with one row per image.
        shared: Tensors that all images have in common.
        places: What is known of each place that was read: space, block, grid.
        class_names: Object noun per image.
    """

    rows: Mapping[str, Tensor]
    shared: Mapping[str, Tensor]
    places: tuple[dict[str, Any], ...]
    class_names: tuple[str, ...]

    @property
    def row_bytes(self) -> int:
        """Bytes of one image, in the mean."""
        return -(-sum(tensor.nbytes for tensor in self.rows.values()) // len(self.class_names))

    @property
    def shared_bytes(self) -> int:
        """Bytes that every file has once."""
        return sum(tensor.nbytes for tensor in self.shared.values())


def pack(
    features: Features,
    examples: Sequence[PreparedExample],
    reading: Reading,
    tower: torch.dtype,
    dtype: StoredPrecision,
) -> Packed:
    """Pack a batch, on the CPU.

    Args:
        features: From the detector.
        examples: What they are of.
        reading: Which places the token sets were read at.
        tower: The precision that the tower computes in.
        dtype: The stored precision.
    """

    def kept(tensor: Tensor) -> Tensor:
        return stored(tensor, tower, dtype).cpu().contiguous()

    by_place = {place: entry for entry, (_, place) in zip(features.token_sets, reading.named, strict=True)}
    rows = {IMAGE: kept(features.image_feature)}
    shared: dict[str, Tensor] = {}
    places = []
    for place, entry in sorted(by_place.items()):
        rows[f"{TOKENS}{place}"] = kept(entry.tokens)
        if entry.class_token is not None:
            rows[f"{CLASS}{place}"] = kept(entry.class_token)
        if entry.injected is not None:
            rows[f"{INJECTED}{place}"] = kept(entry.injected)
        if entry.registers is not None:
            rows[f"{REGISTERS}{place}"] = kept(entry.registers)
        grid = entry.layout
        if isinstance(grid, Windows):
            shared[f"{INCIDENCE}{place}"], grid = grid.incidence.cpu().contiguous(), grid.grid
        places.append({"space": entry.space, "block": entry.block, "grid": [grid.height, grid.width]})
    if features.prepass is not None:
        rows[PREPASS] = kept(features.prepass)
    rows |= {f"{AUXILIARY}{name}": kept(tensor) for name, tensor in features.auxiliary.items()}
    masks = np.stack([example.mask for example in examples])
    rows[MASKS] = torch.from_numpy(np.packbits(masks.reshape(len(masks), -1), axis=1))
    rows[ANOMALOUS] = torch.tensor([example.anomalous for example in examples])
    rows[WEIGHTS] = torch.tensor([example.weight for example in examples], dtype=torch.float32)
    return Packed(rows, shared, tuple(places), features.class_names)


def join(batches: list[Packed]) -> Packed:
    """Return batches as one, and empty the list: what is joined is given up on the way."""
    first = batches[0]
    class_names = tuple(name for batch in batches for name in batch.class_names)
    parts = [dict(batch.rows) for batch in batches]
    batches.clear()
    shared, places, names = first.shared, first.places, list(first.rows)
    del first
    rows = {name: torch.cat([part.pop(name) for part in parts]) for name in names}
    return Packed(rows, shared, places, class_names)


def unpack(
    rows: Mapping[str, Tensor], packed: Packed, class_names: tuple[str, ...], reading: Reading, size: int
) -> Features:
    """Return the features of some images.

    Args:
        rows: Their rows, in the precision and on the device of the result.
        packed: Any file of the cache, for what all images have in common.
        class_names: Of these images.
        reading: Names of the token sets.
        size: Side of the square input in pixels.
    """
    device = rows[IMAGE].device
    layouts: list[Grid | Windows] = []
    for place, facts in enumerate(packed.places):
        grid, incidence = Grid(*facts["grid"]), packed.shared.get(f"{INCIDENCE}{place}")
        layouts.append(grid if incidence is None else Windows(grid, incidence.to(device)))
    return Features(
        tuple(
            TokenSet(
                name,
                rows[f"{TOKENS}{place}"],
                layouts[place],
                packed.places[place]["space"],
                packed.places[place]["block"],
                rows.get(f"{CLASS}{place}"),
                rows.get(f"{INJECTED}{place}"),
                rows.get(f"{REGISTERS}{place}"),
            )
            for name, place in reading.named
        ),
        rows[IMAGE],
        class_names,
        (size, size),
        {name.removeprefix(AUXILIARY): row for name, row in rows.items() if name.startswith(AUXILIARY)},
        rows.get(PREPASS),
    )


def unpacked_masks(bits: Tensor, size: int) -> Tensor:
    """Return masks [B, S, S] bool from their bits [B, ceil(S * S / 8)] uint8."""
    masks = np.unpackbits(bits.numpy(), axis=1, count=size * size)
    return torch.from_numpy(masks.reshape(-1, size, size).astype(np.bool_))


def stored(tensor: Tensor, tower: torch.dtype, dtype: StoredPrecision) -> Tensor:
    """Return a tensor as it is stored; what is no floating number, or too large for float16, stays exact.

    Features come in float32 from towers of any precision: the tower's own holds them without loss.
    """
    exact = _without_loss(tensor, tower)
    if dtype == "exact" or not exact.is_floating_point() or exact.element_size() <= 2:
        return exact
    half = exact.to(torch.float16)
    return half if bool(half.isfinite().all()) else exact


def _without_loss(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    if not tensor.is_floating_point() or tensor.element_size() <= dtype.itemsize:
        return tensor
    small = tensor.to(dtype)
    return small if torch.equal(small.to(tensor.dtype), tensor) else tensor
