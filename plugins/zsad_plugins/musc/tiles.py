"""Nearest patches of every image in every other one, by matrix products over blocks of images.

All patches of a class against all others would be a matrix of (N L)^2 numbers. It is never stored: a tile
of it is computed, its row and column maxima are kept, and the tile is forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Tiling:
    """How many images and patches a tile may hold.

    Attributes:
        images: Images of a block; a tile compares two blocks.
        patches: Patches of each image on the tile's first side, fewer than all only if ``images`` is 1.
    """

    images: int
    patches: int

    @staticmethod
    def within(budget: int, count: int, patches: int, width: int, itemsize: int) -> Tiling:
        """Return the largest tiling whose working set stays within a budget.

        The working set of a tile is its cosines, both blocks of tokens and the maxima of rows and columns.
        A tile of a single patch against one image is computed even where it is larger.

        Args:
            budget: In bytes.
            count: Images N.
            patches: Patches L of an image.
            width: Channels of a token.
            itemsize: Bytes of a number.
        """
        room = budget // itemsize

        def numbers(images: int, rows: int) -> int:
            first, second = images * rows, images * patches
            return first * second + (first + second) * (width + images)

        images = max((n for n in range(1, count + 1) if numbers(n, patches) <= room), default=1)
        if numbers(images, patches) <= room:
            return Tiling(images, patches)
        left = room - patches * (width + 1)
        return Tiling(1, min(patches, max(1, left // (patches + width + 1))))

    def blocks(self, count: int, start: int = 0) -> Iterator[slice]:
        """Yield the blocks of images from ``start`` on."""
        for low in range(start, count, self.images):
            yield slice(low, min(low + self.images, count))

    def runs(self, patches: int) -> Iterator[slice]:
        """Yield the runs of patches that a tile's first side takes at a time."""
        for low in range(0, patches, self.patches):
            yield slice(low, min(low + self.patches, patches))


def nearest_cosines(tokens: Tensor, tiling: Tiling, device: torch.device) -> Tensor:
    """Return the cosine of every patch with its nearest patch in every image.

    The similarity is symmetric, so a tile answers for both of its blocks and half of them are enough.

    Args:
        tokens: [N, L, D] unit vectors, in main memory or on the device.
        tiling: Size of the tiles.
        device: Where to compute.

    Returns:
        [N, L, N] on the device, float32 (float64 for such tokens): patch p of image i in image j at
        [i, p, j]. It holds N / D times the numbers of ``tokens``.
    """
    count, patches, _ = tokens.shape
    dtype = torch.promote_types(tokens.dtype, torch.float32)
    table = torch.full((count, patches, count), -torch.inf, dtype=dtype, device=device)
    for rows in tiling.blocks(count):
        for run in tiling.runs(patches):
            first = tokens[rows, run].to(device, dtype)
            for columns in tiling.blocks(count, rows.start):
                _compare(table, first, tokens, (rows, run, columns))
    return table


def _compare(table: Tensor, first: Tensor, tokens: Tensor, place: tuple[slice, slice, slice]) -> None:
    """Enter the maxima of one tile into the table.

    A function of its own, because the tile has to be gone before the next one is computed.
    """
    rows, run, columns = place
    second = tokens[columns].to(first.device, first.dtype)
    tile = torch.tensordot(first, second, dims=([2], [2]))  # [rows, run, columns, L]
    table[rows, run, columns] = tile.amax(3)
    if columns != rows:
        found = tile.amax(1).permute(1, 2, 0)  # [columns, L, rows]; of this run only
        table[columns, :, rows] = torch.maximum(table[columns, :, rows], found)
