"""Boxes where there is no detector: around the regions of the anomaly map that stand out."""

from __future__ import annotations

from dataclasses import replace

import torch
from scipy import ndimage
from torch import Tensor

from zsad.parts import BuildContext
from zsad.values import Features, Scores
from zsad_plugins.filo.options import RegionFilterOptions


def in_boxes(anomaly_map: Tensor, level: float, largest: float) -> Tensor:
    """Return which pixels lie in a box around a region of a map.

    A region is a set of pixels, connected by their sides, above ``level`` of the way from the map's lowest
    value to its highest.

    Args:
        anomaly_map: [H, W].
        level: Share of the map's range.
        largest: Area, as a share of the image, below which boxes count.

    Returns:
        [H, W] bool.
    """
    low, high = anomaly_map.aminmax()
    regions, _ = ndimage.label((anomaly_map > low + level * (high - low)).cpu().numpy())
    inside = torch.zeros(anomaly_map.shape, dtype=torch.bool)
    for rows, columns in ndimage.find_objects(regions):
        if (rows.stop - rows.start) * (columns.stop - columns.start) < largest * inside.numel():
            inside[rows, columns] = True
    return inside.to(anomaly_map.device)


class RegionFilter:
    """Damps the map outside the boxes; the image score stays."""

    def __init__(self, options: RegionFilterOptions, context: BuildContext) -> None:
        self.options = options

    def __call__(self, scores: Scores, features: Features) -> Scores:
        """Return the scores with their map damped."""
        maps, level, largest = scores.required_map, self.options.level, self.options.largest
        inside = torch.stack([in_boxes(each, level, largest) for each in maps])
        return replace(scores, map=torch.where(inside, maps, self.options.outside * maps))
