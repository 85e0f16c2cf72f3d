"""Compute files of a cache, pass by pass."""

from __future__ import annotations

import errno
import random
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from zsad.backbones.precision import DTYPES
from zsad.detect.detector import Detector
from zsad.detect.passes import encode_together
from zsad.errors import ZsadError
from zsad.training.cache.key import StoredPrecision, reading_of
from zsad.training.cache.layout import Layout
from zsad.training.cache.packing import Packed, join, pack
from zsad.training.cache.shard import shard_path, write_shard
from zsad.training.reading import ExampleReader

MENDS = "give another folder (--cache DIR), half the precision (--cache-dtype float16) or --no-cache"
HEADER_BYTES = 16384
"""Room for what a file holds beside its tensors."""


class Filling:
    """Computes files; announces the size of the whole, and sees that the disk has room for it, once."""

    def __init__(
        self,
        detector: Detector,
        reader: ExampleReader,
        layout: Layout,
        dtype: StoredPrecision,
        report: Callable[[int, int], None],
        announce: Callable[[int, Path], None],
    ) -> None:
        self._detector, self._reader, self._layout, self._dtype = detector, reader, layout, dtype
        self._report, self._announce = report, announce
        self._reading = reading_of(detector.reading.request)
        self._tower = DTYPES[detector.recipe.profile.dtype]
        self._left, self._announced = 0, False

    def fill(self, shards: Sequence[int]) -> list[int]:
        """Compute files; return those that another process has finished meanwhile."""
        self._left = sum(len(self._layout.places(shard)) for shard in shards)
        damaged = {shard for shard in shards if shard_path(self._layout.folder, shard).exists()}
        elsewhere: list[int] = []
        under_way: deque[tuple[int, range]] = deque()

        def passes() -> Iterator[range]:
            # In an order of its own in each process, so that several at once share the work.
            for shard in random.SystemRandom().sample(shards, len(shards)):
                if shard not in damaged and shard_path(self._layout.folder, shard).exists():
                    elsewhere.append(shard)
                    self._left -= len(self._layout.places(shard))
                    continue
                for places in self._layout.passes(shard):
                    under_way.append((shard, places))
                    yield places

        batches: list[Packed] = []
        for examples in self._reader.batches(passes()):
            shard, places = under_way.popleft()
            (features,) = encode_together([self._detector], [example.sample for example in examples])
            batches.append(pack(features, examples, self._reading, self._tower, self._dtype))
            if not self._announced:
                self._check_size(batches[0])
            self._left -= len(places)
            if places[-1] == self._layout.places(shard)[-1]:
                self._write(shard, batches)
            self._report(self._layout.images - self._left, self._layout.images)
        return elsewhere

    def _check_size(self, batch: Packed) -> None:
        """Announce how large the cache will be, and see that the disk holds what is missing of it."""
        self._announced = True
        layout = self._layout
        fixed = batch.shared_bytes + HEADER_BYTES
        self._announce(layout.images * batch.row_bytes + layout.count * fixed, layout.folder)
        needed = self._left * batch.row_bytes + -(-self._left // layout.shard_size) * fixed
        free = shutil.disk_usage(layout.folder).free
        if needed > free:
            raise ZsadError(
                f"the cache of features needs {_size(needed)} in folder '{layout.folder}', where "
                f"{_size(free)} are free; {MENDS}"
            )

    def _write(self, shard: int, batches: list[Packed]) -> None:
        try:
            write_shard(self._layout.folder, shard, join(batches))
        except ZsadError as error:
            if getattr(error.__cause__, "errno", None) not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise ZsadError(
                f"the disk is full: the cache of features in folder '{self._layout.folder}' is not complete; "
                f"what is finished stays for the next run; free some space, {MENDS}"
            ) from error


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
