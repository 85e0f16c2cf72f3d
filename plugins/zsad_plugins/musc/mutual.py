"""Mutual scoring, MSM: what few other images of a class have anything like is anomalous (section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.errors import InputError
from zsad.parts import BuildContext
from zsad.values import Conditioning, Features, Scores, ScoreSet
from zsad_plugins.musc.options import MutualOptions
from zsad_plugins.musc.tiles import Tiling, nearest_cosines

MIB = 2**20


def ranks(interval: tuple[float, float], others: int) -> tuple[int, int]:
    """Return the half-open run of ranks, in ascending order of distance, that an interval selects.

    At least one: of 0.3 * 3 distances the published code takes none, and its scores are not numbers.

    Args:
        interval: Shares of the number of distances.
        others: Number of distances, N - 1.
    """
    first, last = (int(share * others) for share in interval)
    return first, max(last, first + 1)


def interval_average(table: Tensor, interval: tuple[float, float], tiling: Tiling) -> Tensor:
    """Return the mean distance of every patch to its nearest patches, over an interval of other images.

    The distance of unit vectors is sqrt(2 - 2 cos): the smallest distances are the largest cosines.

    Args:
        table: [N, L, N] cosines; an image's cosine with itself does not count.
        interval: Shares of the number of other images.
        tiling: How many images and patches are sorted at a time.

    Returns:
        [N, L].
    """
    count, patches = table.shape[:2]
    first, last = ranks(interval, count - 1)
    table.diagonal(dim1=0, dim2=2).fill_(-torch.inf)
    result = table.new_empty(count, patches)
    for rows in tiling.blocks(count):
        for run in tiling.runs(patches):
            cosines = table[rows, run].topk(last, dim=-1).values[..., first:]
            result[rows, run] = (2 - 2 * cosines).clamp_min(0).sqrt().mean(-1)
    return result


class MutualScorer:
    """a(p) = mean over token sets of the interval average of min_q |z_p - z_q| over the other images.

    Attributes:
        interval: Shares of the number of other images between which distances are averaged.
        budget: Bytes that the comparison of a block of images may hold.
        keep: Precision of kept tokens, or None for the one they come in.
    """

    def __init__(self, options: MutualOptions, context: BuildContext) -> None:
        self.interval, self.budget = options.interval, options.memory_mb * MIB
        self.keep = torch.float16 if options.keep == "float16" else None

    def collect(self, features: Features, conditioning: Conditioning) -> Features:
        """Return unit tokens in main memory: those of a whole class seldom fit a GPU."""
        grid, sets = features.grid, []
        for entry in features.token_sets:
            tokens = F.normalize(entry.tokens, dim=-1).to("cpu", self.keep or entry.tokens.dtype)
            sets.append(replace(entry, tokens=tokens, layout=grid, class_token=None))
        return replace(features, token_sets=tuple(sets), auxiliary={}, prepass=None)

    def finalize(self, scope: Sequence[Features]) -> Scores:
        """Return one score set, the mean over the token sets.

        Raises:
            InputError: The class has a single image, which has nothing to be compared with.
        """
        first, image = scope[0], scope[0].image_feature
        if sum(map(len, scope)) < 2:
            raise InputError(
                f"musc.mutual compares the images of a class with one another, but '{first.class_names[0]}' "
                "has only one image here; give two or more of it at once"
            )
        found = []
        for same in zip(*(features.token_sets for features in scope), strict=True):
            found.append(self.scores(torch.cat([entry.tokens for entry in same]), image.device))
        values = first.grid.to_maps(torch.stack(found).mean(0).to(image.dtype)[..., None])
        return Scores((ScoreSet("mutual", values, "anomaly"),))

    def scores(self, tokens: Tensor, device: torch.device) -> Tensor:
        """Return the scores of one token set's patches.

        Args:
            tokens: [N, L, D] unit vectors of two or more images.
            device: Where to compute.

        Returns:
            [N, L] on the device.
        """
        count, patches, width = tokens.shape
        itemsize = max(4, tokens.element_size())
        table = nearest_cosines(tokens, Tiling.within(self.budget, count, patches, width, itemsize), device)
        # A row is sorted with its places, which are whole numbers of 8 bytes.
        lines = max(1, self.budget // (count * (2 * itemsize + 8)))
        sorting = Tiling(max(1, lines // patches), min(patches, lines))
        return interval_average(table, self.interval, sorting)
