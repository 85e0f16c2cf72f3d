"""The usual steps from score sets to an anomaly map."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.detect.smoothing import gaussian_blur
from zsad.errors import InputError
from zsad.parts import BuildContext
from zsad.values import ABNORMAL, NORMAL, Features, Scores, ScoreSet
from zsad_plugins.standard.options import FuseOptions, GaussianOptions, UpsampleOptions


class Softmax:
    """Turns logits over (normal, abnormal) into probabilities; other kinds pass."""

    def __call__(self, scores: Scores, features: Features) -> Scores:
        """Return the scores with every set of logits replaced."""
        return replace(
            scores,
            sets=tuple(
                replace(entry, values=torch.softmax(entry.values, dim=1), kind="probabilities")
                if entry.kind == "logits"
                else entry
                for entry in scores.sets
            ),
        )


@dataclass(frozen=True)
class Upsample:
    """Interpolates every score set to the image size."""

    mode: str
    align_corners: bool

    def __call__(self, scores: Scores, features: Features) -> Scores:
        """Return the scores at [B, K, S, S]."""
        align = self.align_corners if self.mode == "bilinear" else None
        size = (features.image_size, features.image_size)
        return replace(
            scores,
            sets=tuple(
                replace(entry, values=F.interpolate(entry.values, size, mode=self.mode, align_corners=align))
                for entry in scores.sets
            ),
        )


@dataclass(frozen=True)
class Fuse:
    """Joins the abnormal channel of all score sets into the anomaly map."""

    how: str

    def __call__(self, scores: Scores, features: Features) -> Scores:
        """Return the scores with their map set."""
        stack = torch.stack([anomaly_channel(entry) for entry in scores.sets])
        return replace(scores, map=stack.mean(0) if self.how == "mean" else stack.sum(0))


def anomaly_channel(entry: ScoreSet) -> Tensor:
    """Return [B, h, w]: (p_abnormal + 1 - p_normal) / 2 of probabilities, or the one anomaly channel.

    Raises:
        InputError: The set holds logits.
    """
    if entry.kind == "logits":
        raise InputError("standard.fuse joins probabilities; put standard.softmax before it")
    if entry.kind == "probabilities":
        return (entry.values[:, ABNORMAL] + 1 - entry.values[:, NORMAL]) / 2
    return entry.values[:, 0]


@dataclass(frozen=True)
class Gaussian:
    """Smooths the anomaly map."""

    sigma: float

    def __call__(self, scores: Scores, features: Features) -> Scores:
        """Return the scores with their map smoothed."""
        assert scores.map is not None  # 'anomaly_map' is required
        return replace(scores, map=gaussian_blur(scores.map, self.sigma))


class MapMaximum:
    """Sets the image score from the map."""

    def __call__(self, scores: Scores, features: Features) -> Scores:
        """Return the scores with the map's maximum as image score."""
        assert scores.map is not None  # 'anomaly_map' is required
        return scores.with_image_score(scores.map.flatten(1).amax(1), "standard.map_maximum")


def build_softmax(options: None, context: BuildContext) -> Softmax:
    """Build the step."""
    return Softmax()


def build_upsample(options: UpsampleOptions, context: BuildContext) -> Upsample:
    """Build the step."""
    return Upsample(options.mode, options.align_corners)


def build_fuse(options: FuseOptions, context: BuildContext) -> Fuse:
    """Build the step."""
    return Fuse(options.how)


def build_gaussian(options: GaussianOptions, context: BuildContext) -> Gaussian:
    """Build the step."""
    return Gaussian(options.sigma)


def build_map_maximum(options: None, context: BuildContext) -> MapMaximum:
    """Build the step."""
    return MapMaximum()
