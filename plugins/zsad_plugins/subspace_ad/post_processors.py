"""The smoothing of SubspaceAD's map, and its image score."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.parts import BuildContext
from zsad.values import Features, Scores
from zsad_plugins.subspace_ad.options import BlurOptions, TopMeanOptions


class Blur:
    """A Gaussian of any width cut to a few pixels and normalised, as OpenCV's ``GaussianBlur`` does."""

    def __init__(self, options: BlurOptions, context: BuildContext) -> None:
        offsets = torch.arange(options.size, dtype=torch.float64) - options.size // 2
        kernel = torch.exp(-0.5 * (offsets / options.sigma) ** 2)
        self.kernel = kernel / kernel.sum()

    def __call__(self, scores: Scores, features: Features) -> Scores:
        """Return the scores with their map smoothed."""
        return replace(scores, map=cut_gaussian(scores.required_map, self.kernel))


def cut_gaussian(maps: Tensor, kernel: Tensor) -> Tensor:
    """Return maps [B, H, W] filtered by a kernel [k] along both axes, mirrored at the outermost pixels."""
    margin, weights = len(kernel) // 2, kernel.to(maps)
    padded = F.pad(maps[:, None], (margin,) * 4, mode="reflect")[:, 0]
    return padded.unfold(1, len(kernel), 1).matmul(weights).unfold(2, len(kernel), 1).matmul(weights)


class TopMean:
    """The image score is the mean of the int(f H W) largest pixels."""

    def __init__(self, options: TopMeanOptions, context: BuildContext) -> None:
        self.fraction = options.fraction

    def __call__(self, scores: Scores, features: Features) -> Scores:
        """Return the scores with the mean of the map's largest pixels as image score."""
        pixels = scores.required_map.flatten(1)
        count = max(1, int(self.fraction * pixels.shape[1]))
        return scores.with_image_score(pixels.topk(count, dim=1).values.mean(1), "subspace_ad.top_mean")
