"""From the mean map to the image score and the weighted map."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.errors import InputError
from zsad.parts import BuildContext
from zsad.values import Features, Scores
from zsad_plugins.filo.options import BlurOptions, BoxFilterOptions
from zsad_plugins.filo.places import inside


def blur(maps: Tensor, size: int, sigma: float) -> Tensor:
    """Blur [B, S, S] with a Gaussian cut to ``size`` pixels; the border mirrors without its edge pixel."""
    radius = size // 2
    offsets = torch.arange(-radius, radius + 1, dtype=maps.dtype, device=maps.device)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = kernel / kernel.sum()
    wide = F.pad(maps[:, None], (radius,) * 4, mode="reflect")[:, 0]
    rows = torch.stack([wide[:, place : place + maps.shape[1]] for place in range(size)], dim=-1) @ kernel
    return torch.stack([rows[:, :, place : place + maps.shape[2]] for place in range(size)], dim=-1) @ kernel


@dataclass(frozen=True)
class Blur:
    """Blurs the map. The published code blurs every head's map before their mean, which is the same."""

    options: BlurOptions

    def __call__(self, scores: Scores, features: Features) -> Scores:
        """Return the scores with their map blurred."""
        assert scores.map is not None  # 'anomaly_map' is required
        return replace(scores, map=blur(scores.map, self.options.size, self.options.sigma))


class ImageScore:
    """(the image's own score + the map's maximum) / 2."""

    def __call__(self, scores: Scores, features: Features) -> Scores:
        """Return the scores with the mean of both as image score."""
        assert scores.map is not None and scores.image_score is not None  # both are required
        score = (scores.image_score + scores.map.flatten(1).amax(1)) / 2
        return scores.with_image_score(score, "filo.image_score: mean with the map's maximum")


@dataclass(frozen=True)
class BoxFilter:
    """Damps the map outside the boxes; the image score stays."""

    options: BoxFilterOptions

    def __call__(self, scores: Scores, features: Features) -> Scores:
        """Return the scores with their map damped."""
        assert scores.map is not None  # 'anomaly_map' is required
        tables = features.auxiliary["filo.boxes"].to(scores.map.device)
        within = torch.stack([inside(table, features.image_size, self.options.edges) for table in tables])
        return replace(scores, map=torch.where(within, scores.map, self.options.outside * scores.map))


def build_blur(options: BlurOptions, context: BuildContext) -> Blur:
    """Build the step.

    Raises:
        InputError: The kernel has no centre, or the image is too small for it.
    """
    if options.size % 2 == 0 or options.size // 2 >= context.image_size:
        raise InputError(f"size {options.size} has to be odd and fit an image of {context.image_size} pixels")
    return Blur(options)


def build_image_score(options: None, context: BuildContext) -> ImageScore:
    """Build the step."""
    return ImageScore()


def build_box_filter(options: BoxFilterOptions, context: BuildContext) -> BoxFilter:
    """Build the step."""
    return BoxFilter(options)
