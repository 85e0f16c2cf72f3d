"""From logits on the grid to the map at image size, in one of the two orders of the published scripts."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.errors import InputError
from zsad.parts import BuildContext
from zsad.values import ABNORMAL, Features, Scores
from zsad_plugins.crane.options import FuseOptions


class Fuse:
    """Mean over the sets of up(softmax(Z_k)), or softmax of the mean over the sets of up(Z_k)."""

    def __init__(self, options: FuseOptions, context: BuildContext) -> None:
        self.soft_mean = options.soft_mean

    def __call__(self, scores: Scores, features: Features) -> Scores:
        """Return the scores with their map set to the abnormal probability.

        Raises:
            InputError: A set holds no logits.
        """
        for entry in scores.sets:
            if entry.kind != "logits":
                raise InputError(f"crane.fuse joins logits; '{entry.name}' holds {entry.kind}")
        logits = torch.stack([entry.values for entry in scores.sets])
        if self.soft_mean:
            mean = torch.softmax(logits, dim=2)[:, :, ABNORMAL].mean(0)
            return replace(scores, map=upsampled(mean[:, None], features.input_size)[:, 0])
        # Bilinear interpolation is linear: the mean may come first, and one map is enlarged instead of K.
        enlarged = upsampled(logits.mean(0), features.input_size)
        return replace(scores, map=torch.softmax(enlarged, dim=1)[:, ABNORMAL])


def upsampled(values: Tensor, size: tuple[int, int]) -> Tensor:
    """Enlarge [B, K, h, w] to [B, K, H, W], corners not aligned."""
    return F.interpolate(values, size, mode="bilinear", align_corners=False)
