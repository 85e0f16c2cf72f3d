"""From logits to maps: their difference, and a blur that comes before the enlarging."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.errors import InputError
from zsad.parts import BuildContext
from zsad.values import ABNORMAL, NORMAL, Features, Scores, ScoreSet
from zsad_plugins.aa_clip.options import BlurOptions


class Difference:
    """Turns logits z into one anomaly channel, (z_abnormal + 1 - z_normal) / 2, far outside 0..1."""

    def __init__(self, options: None, context: BuildContext) -> None:
        pass

    def __call__(self, scores: Scores, features: Features) -> Scores:
        """Return the scores with every set of logits replaced; other kinds pass."""
        return replace(scores, sets=tuple(map(_difference, scores.sets)))


def _difference(entry: ScoreSet) -> ScoreSet:
    if entry.kind != "logits":
        return entry
    values = (entry.values[:, [ABNORMAL]] + 1 - entry.values[:, [NORMAL]]) / 2
    return ScoreSet(entry.name, values, "anomaly")


class GridBlur:
    """Blurs every score set on its own grid; the border is reflected without its outermost cell.

    Attributes:
        kernel: [size], adds up to 1; applied along both axes.
    """

    def __init__(self, options: BlurOptions, context: BuildContext) -> None:
        offsets = torch.arange(options.size, dtype=torch.float64) - options.size // 2
        kernel = torch.exp(-0.5 * (offsets / options.sigma) ** 2)
        self.kernel = kernel / kernel.sum()

    def __call__(self, scores: Scores, features: Features) -> Scores:
        """Return the scores with every set blurred.

        Raises:
            InputError: The kernel reaches farther than the grid.
        """
        return replace(
            scores, sets=tuple(replace(entry, values=self.blurred(entry.values)) for entry in scores.sets)
        )

    def blurred(self, maps: Tensor) -> Tensor:
        """Return maps [B, K, h, w] blurred."""
        reach = len(self.kernel) // 2
        if reach >= min(maps.shape[-2:]):
            raise InputError(
                f"aa-clip.grid_blur has a kernel of {len(self.kernel)} patches, too large for a grid of "
                f"{maps.shape[-2]} x {maps.shape[-1]}; use a larger --image-size"
            )
        kernel = self.kernel.to(maps)
        padded = F.pad(maps, (reach, reach, reach, reach), mode="reflect")
        across = (padded.unfold(3, len(kernel), 1) * kernel).sum(-1)
        return (across.unfold(2, len(kernel), 1) * kernel).sum(-1)
