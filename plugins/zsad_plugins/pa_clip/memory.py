"""What a class's own images know of it: normal patterns, and benign ones that only look anomalous.

Nothing here reads a label, and nothing depends on the order of the images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from zsad_plugins.pa_clip.options import MemoryOptions

ROWS = 4096
"""Patches that are compared at a time."""


@dataclass(frozen=True)
class Memory:
    """Patches, and whose they are: an image never meets its own.

    Attributes:
        entries: [M, D] unit vectors.
        owner: [M], the place of each entry's image.
    """

    entries: Tensor
    owner: Tensor

    def distance(self, patches: Tensor, image: int) -> Tensor:
        """Return (1 - largest cosine) / 2 of an image's patches [L, D] with entries of others, [L].

        1, as far as can be, where other images have none.
        """
        others = self.entries[self.owner != image]
        if not len(others):
            return patches.new_ones(len(patches))
        return (1 - (patches @ others.T).amax(1).clamp(-1, 1)) / 2


def nearest_in_images(entries: Tensor, owner: Tensor, tokens: Tensor) -> Tensor:
    """Return the median over the other images of (1 - largest cosine) / 2 with their patches.

    Args:
        entries: [M, D] unit vectors.
        owner: [M], the place of each entry's image, which does not count.
        tokens: [N, L, D] unit vectors of two or more images.

    Returns:
        [M].
    """
    found = []
    for low in range(0, len(entries), ROWS):
        rows, own = entries[low : low + ROWS], owner[low : low + ROWS]
        distances = torch.stack([(1 - (rows @ image.T).amax(1)) / 2 for image in tokens], dim=1)
        distances[torch.arange(len(rows)), own] = torch.nan
        found.append(distances.nanmedian(dim=1).values)
    return torch.cat(found)


def normal_memory(tokens: Tensor, scores: Tensor, options: MemoryOptions) -> Memory:
    """Return the patches of the lowest scores in the images of the lowest scores.

    An image's score is the 99th percentile of its patches'. Each image brings as many patches, so that none
    fills the memory alone.

    Args:
        tokens: [N, L, D] unit vectors.
        scores: [N, L] text-driven anomaly scores.
        options: Shares and capacity.
    """
    count, patches = scores.shape
    images = min(count, options.capacity, max(2, math.ceil(options.normal_images * count)))
    chosen = scores.quantile(0.99, dim=1).argsort()[:images]
    each = min(max(1, int(options.normal_patches * patches)), options.capacity // images)
    places = scores[chosen].argsort(dim=1)[:, :each]
    entries = tokens[chosen[:, None], places].flatten(0, 1)
    return Memory(entries, chosen.repeat_interleave(each))


def benign_memory(tokens: Tensor, scores: Tensor, normal: Memory, options: MemoryOptions) -> Memory:
    """Return the patches of the highest scores that recur in most images as normal ones do.

    Args:
        tokens: [N, L, D] unit vectors.
        scores: [N, L] text-driven anomaly scores.
        normal: The normal memory, whose own recurrence is the measure.
        options: Shares and capacity.
    """
    count = max(1, int(options.suspicious * scores.numel()))
    chosen = scores.flatten().argsort(descending=True)[:count]
    entries, owner = tokens.flatten(0, 1)[chosen], chosen // scores.shape[1]
    usual = nearest_in_images(normal.entries, normal.owner, tokens).quantile(options.recurrence)
    recurs = nearest_in_images(entries, owner, tokens) <= usual
    return Memory(entries[recurs][: options.capacity], owner[recurs][: options.capacity])
