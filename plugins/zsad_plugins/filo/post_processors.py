"""From the mean map to the image score and the weighted map."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.errors import InputError
from zsad.parts import BuildContext
from zsad.values import Features, Scores
from zsad_plugins.filo.options import BlurOptions, BoxFilterOptions
from zsad_plugins.filo.places import inside


def blur(maps: Tensor, size: int, sigma: float) -> Tensor:
    """Blur [B, H, W] with a Gaussian cut to ``size`` pixels; the border mirrors without its edge pixel."""
    radius = size // 2
    offsets = torch.arange(-radius, radius + 1, dtype=maps.dtype, device=maps.device)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = kernel / kernel.sum()
    wide = F.pad(maps[:, None], (radius,) * 4, mode="reflect")[:, 0]
    rows = torch.stack([wide[:, place : place + maps.shape[1]] for place in range(size)], dim=-1) @ kernel
    return torch.stack([rows[:, :, place : place + maps.shape[2]] for place in range(size)], dim=-1) @ kernel


class Blur:
    """Blurs the map. The published code blurs every head's map before their mean, which is the same."""

    def __init__(self, options: BlurOptions, context: BuildContext) -> None:
        size, side = options.size, context.image_size
        if size % 2 == 0 or size // 2 >= side:
            raise InputError(f"size {size} has to be odd and fit an image of {side} pixels")
        self.options = options

    def __call__(self, scores: Scores, features: Features) -> Scores:
        """Return the scores with their map blurred."""
        return replace(scores, map=blur(scores.required_map, self.options.size, self.options.sigma))


class ImageScore:
    """(the image's own score + the map's maximum) / 2."""

    def __init__(self, options: None, context: BuildContext) -> None:
        pass

    def __call__(self, scores: Scores, features: Features) -> Scores:
        """Return the scores with the mean of both as image score."""
        score = (scores.required_image_score + scores.required_map.flatten(1).amax(1)) / 2
        return scores.with_image_score(score, "filo.image_score: mean with the map's maximum")


class BoxFilter:
    """Damps the map outside the boxes; the image score stays."""

    def __init__(self, options: BoxFilterOptions, context: BuildContext) -> None:
        self.options = options

    def __call__(self, scores: Scores, features: Features) -> Scores:
        """Return the scores with their map damped."""
        maps, edges = scores.required_map, self.options.edges
        tables = features.auxiliary["filo.boxes"].to(maps.device)
        height, width = features.input_size
        within = torch.stack([inside(table, features.whole_size, edges) for table in tables])
        within = within[:, :height, :width]
        return replace(scores, map=torch.where(within, maps, self.options.outside * maps))
