"""The published way from a map to its smoothed form and the image score: at 256 x 256 pixels."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.parts import BuildContext
from zsad.values import Features, Scores
from zsad_plugins.inp_former.options import SmoothOptions


def truncated_blur(maps: Tensor, sigma: float, radius: int) -> Tensor:
    """Return maps [B, H, W] blurred by a Gaussian that is cut off; outside the maps there are zeros."""
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float64)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = (kernel / kernel.sum()).to(maps)
    across = F.conv2d(maps[:, None], kernel.view(1, 1, 1, -1), padding=(0, radius))
    return F.conv2d(across, kernel.view(1, 1, -1, 1), padding=(radius, 0))[:, 0]


class Smooth:
    """Resizes the map to one size, smooths it there, and reads the score off its largest pixels.

    The map goes back to the image size, so that it can be compared with masks as those of other methods.
    """

    def __init__(self, options: SmoothOptions, context: BuildContext) -> None:
        self.options = options

    def __call__(self, scores: Scores, features: Features) -> Scores:
        """Return the scores with their map smoothed, and the mean of its largest pixels as image score."""
        smooth = self.smoothed(scores.required_map)
        count = max(1, int(self.options.fraction * smooth[0].numel()))
        score = smooth.flatten(1).topk(count, dim=1).values.mean(1)
        whole = resized(smooth, features.input_size)
        return replace(scores, map=whole).with_image_score(score, "inp-former.smooth: largest pixels")

    def smoothed(self, maps: Tensor) -> Tensor:
        """Return maps [B, H, W] smoothed at the one size, whose short side is ``side``."""
        return truncated_blur(self.small(maps), self.options.sigma, self.options.radius)

    def small(self, maps: Tensor) -> Tensor:
        """Return maps [B, H, W] at the one size, not smoothed."""
        height, width = maps.shape[1:]
        short = min(height, width)
        side = self.options.side
        return resized(maps, (round(side * height / short), round(side * width / short)))


def resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Return maps [B, H, W] at another size, bilinear, without antialiasing."""
    return F.interpolate(maps[:, None], size, mode="bilinear", align_corners=False)[:, 0]
