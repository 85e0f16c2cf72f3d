"""The usual steps from score sets to an anomaly map."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.detect.smoothing import gaussian_blur
from zsad.errors import InputError
from zsad.parts import BuildContext
from zsad.values import ABNORMAL, NORMAL, Features, Scores, ScoreSet
from zsad_plugins.standard.options import FuseOptions, GaussianOptions, TopMeanOptions, UpsampleOptions


class Softmax:
    """Turns logits over (normal, abnormal) into probabilities; other kinds pass."""

    def __init__(self, options: None, context: BuildContext) -> None:
        pass

    def __call__(self, scores: Scores, features: Features) -> Scores:
        """Return the scores with every set of logits replaced."""
        return replace(scores, sets=tuple(map(probabilities, scores.sets)))


def probabilities(entry: ScoreSet) -> ScoreSet:
    """Return the probabilities of a set of logits, and any other set as it is."""
    if entry.kind != "logits":
        return entry
    return replace(entry, values=torch.softmax(entry.values, dim=1), kind="probabilities")


class Upsample:
    """Interpolates every score set to the image size."""

    def __init__(self, options: UpsampleOptions, context: BuildContext) -> None:
        self.mode = options.mode
        self.align_corners = options.align_corners if options.mode == "bilinear" else None

    def __call__(self, scores: Scores, features: Features) -> Scores:
        """Return the scores at [B, K, H, W]."""
        size = features.input_size
        enlarged = (
            replace(
                entry,
                values=F.interpolate(entry.values, size, mode=self.mode, align_corners=self.align_corners),
            )
            for entry in scores.sets
        )
        return replace(scores, sets=tuple(enlarged))


class Fuse:
    """Joins the abnormal channel of all score sets into the anomaly map."""

    def __init__(self, options: FuseOptions, context: BuildContext) -> None:
        self.how = options.how

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


class Gaussian:
    """Smooths the anomaly map."""

    def __init__(self, options: GaussianOptions, context: BuildContext) -> None:
        self.sigma = options.sigma

    def __call__(self, scores: Scores, features: Features) -> Scores:
        """Return the scores with their map smoothed."""
        return replace(scores, map=gaussian_blur(scores.required_map, self.sigma))


class MapMaximum:
    """Sets the image score from the map."""

    def __init__(self, options: None, context: BuildContext) -> None:
        pass

    def __call__(self, scores: Scores, features: Features) -> Scores:
        """Return the scores with the map's maximum as image score."""
        return scores.with_image_score(scores.required_map.flatten(1).amax(1), "standard.map_maximum")


def top_mean(maps: Tensor, fraction: float) -> Tensor:
    """Return the mean of the k largest pixels of maps [B, H, W], k = ceil(H W fraction): [B]."""
    # The area first: in another order of the product a whole number may come out as a little more.
    count = math.ceil((maps.shape[-2] * maps.shape[-1]) * fraction)
    return maps.flatten(1).topk(count, dim=1).values.mean(dim=1)


class MapTopMean:
    """Sets the image score from the map's largest pixels."""

    def __init__(self, options: TopMeanOptions, context: BuildContext) -> None:
        self.fraction = options.fraction

    def __call__(self, scores: Scores, features: Features) -> Scores:
        """Return the scores with the mean of the map's largest pixels as image score."""
        return scores.with_image_score(top_mean(scores.required_map, self.fraction), "standard.map_top_mean")
