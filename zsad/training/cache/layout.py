"""Which images are in which file of a cache, and which of the files are there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from zsad.training.cache.shard import DamagedShardError, check_shard, shard_path


@dataclass(frozen=True)
class Layout:
    """Which images are in which file, and which share a pass.

    Attributes:
        folder: Of the cache.
        images: In all.
        batch_size: Images per pass.
        shard_size: Images per file.
    """

    folder: Path
    images: int
    batch_size: int
    shard_size: int

    @property
    def count(self) -> int:
        """Number of files."""
        return -(-self.images // self.shard_size)

    def places(self, shard: int) -> range:
        """Return the images of a file."""
        low = shard * self.shard_size
        return range(low, min(low + self.shard_size, self.images))

    def passes(self, shard: int) -> list[range]:
        """Return the images of a file, pass by pass; no pass reaches into another file."""
        places = self.places(shard)
        return [places[low : low + self.batch_size] for low in range(0, len(places), self.batch_size)]

    def missing(self, shards: Sequence[int], warn: Callable[[str], None]) -> list[int]:
        """Return those of the files that are not there or not sound."""
        missing = []
        for shard in shards:
            try:
                check_shard(self.folder, shard, len(self.places(shard)))
            except FileNotFoundError:
                missing.append(shard)
            except DamagedShardError:
                missing.append(shard)
                warn(f"{shard_path(self.folder, shard)} is damaged; its features are computed anew")
        return missing
