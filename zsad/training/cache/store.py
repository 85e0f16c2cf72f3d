"""Batches out of a cache on disk: only the rows that are asked for are read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from zsad.training.batches import Batch
from zsad.training.cache.key import Reading
from zsad.training.cache.packing import ANOMALOUS, MASKS, WEIGHTS, Packed, unpack, unpacked_masks
from zsad.training.cache.shard import open_shard


class CachedFeatures:
    """The features of a training set, in files that are mapped into memory.

    Attributes:
        folder: Where the files are.
    """

    def __init__(
        self, folder: Path, *, images: int, shard_size: int, reading: Reading, size: int, dtype: torch.dtype
    ) -> None:
        """Look into a complete cache.

        Args:
            folder: Of the cache.
            images: In all.
            shard_size: Images per file.
            reading: Names of the token sets.
            size: Side of the detector's square input in pixels.
            dtype: Of a batch's features.
        """
        self.folder = folder
        self._images, self._shard_size, self._reading = images, shard_size, reading
        self._size, self._dtype = size, dtype
        self._shards: dict[int, Packed] = {}

    def __len__(self) -> int:
        return self._images

    def batch(self, places: Sequence[int], device: torch.device) -> Batch:
        """Return the images at ``places``, on a device.

        Raises:
            IndexError: There is no such place.
        """
        located = [self._locate(place) for place in places]
        first = self._shard(located[0][0])
        rows = {name: self._rows(name, located) for name in first.rows}
        masks = unpacked_masks(rows.pop(MASKS), self._size).to(device)
        anomalous, weights = (rows.pop(name).to(device) for name in (ANOMALOUS, WEIGHTS))
        class_names = tuple(self._shard(shard).class_names[row] for shard, row in located)
        # To the device first: what is stored takes less of the way than what is computed with.
        moved = {name: self._widened(tensor.to(device)) for name, tensor in rows.items()}
        features = unpack(moved, first, class_names, self._reading, self._size)
        return Batch(features, masks, anomalous, weights)

    def _locate(self, place: int) -> tuple[int, int]:
        """Return the file that holds a place, and its row in there."""
        if not 0 <= place < self._images:
            raise IndexError(f"there is no image {place} among {self._images}")
        return divmod(place, self._shard_size)

    def _shard(self, number: int) -> Packed:
        if number not in self._shards:
            images = min(self._shard_size, self._images - number * self._shard_size)
            self._shards[number] = open_shard(self.folder, number, images)
        return self._shards[number]

    def _rows(self, name: str, located: Sequence[tuple[int, int]]) -> Tensor:
        """Copy rows of one tensor out of its files, in the order that was asked for."""
        order: list[int] = []
        found: list[Tensor] = []
        for shard in dict.fromkeys(shard for shard, _ in located):
            positions = [position for position, (other, _) in enumerate(located) if other == shard]
            found.append(self._shard(shard).rows[name][[located[position][1] for position in positions]])
            order += positions
        joined = torch.cat(found)
        return joined if order == sorted(order) else joined[torch.tensor(order).argsort()]

    def _widened(self, tensor: Tensor) -> Tensor:
        return tensor.to(self._dtype) if tensor.is_floating_point() else tensor
