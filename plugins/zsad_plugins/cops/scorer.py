"""Scores weighted by the distances to prototypes: alignment that knows where in the image it looks."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.parts import BuildContext
from zsad.values import ABNORMAL, Conditioning, Features, Scores, ScoreSet
from zsad_plugins.cops.options import ScorerOptions
from zsad_plugins.cops.tokens import patch_sets, tap_mean
from zsad_plugins.standard.scorers import cosine_logits, image_probability, on_grid

Extent = Literal["image", "batch"]


def nearest_distance(tokens: Tensor, prototypes: Tensor) -> Tensor:
    """Return min_j (1 - cos(F_p, P_j)): [B, N], from tokens [B, N, C] and prototypes [B, P, C]."""
    cosines = F.normalize(tokens, dim=-1) @ F.normalize(prototypes, dim=-1).transpose(1, 2)
    return 1 - cosines.amax(-1)


def min_max(values: Tensor, extent: Extent, epsilon: float) -> Tensor:
    """Rescale [B, N] to 0..1 over each image or over the whole batch."""
    axes = (1,) if extent == "image" else (0, 1)
    low, high = values.amin(axes, keepdim=True), values.amax(axes, keepdim=True)
    return (values - low) / (high - low).clamp_min(epsilon)


class PrototypeWeightedScorer:
    """q = softmax(cos(F, T) / t)[abnormal] * w, with w = a mm(d_n) + (1 - a) (1 - mm(d_a)).

    d_n and d_a are the distances of the mean over taps to the normal and the abnormal prototypes, mm is a
    min-max. Image score: b softmax(cos(g, T) / t)[abnormal] + (1 - b) max q.
    """

    def __init__(self, options: ScorerOptions, extent: Extent) -> None:
        self.options, self.extent = options, extent

    def probabilities(self, features: Features, conditioning: Conditioning) -> Tensor:
        """Return softmax(cos(F, T) / t) per tap, [taps, B, N, 2]."""
        text, temperature = conditioning.text_features, self.options.temperature
        logits = [cosine_logits(entry.tokens, text, temperature) for entry, _ in patch_sets(features)]
        return torch.softmax(torch.stack(logits), dim=-1)

    def weights(self, features: Features, conditioning: Conditioning) -> Tensor:
        """Return w per tap, [taps, B, N]: the same for all, unless every tap rescales."""
        tokens, found = tap_mean(features), conditioning.intermediates
        normal = nearest_distance(tokens, found["prototypes.normal"])
        abnormal = nearest_distance(tokens, found["prototypes.abnormal"])
        alpha, count = self.options.alpha, len(patch_sets(features))
        weights: list[Tensor] = []
        for _ in range(count if self.options.rescaling == "every_tap" else 1):
            # From the second time on this turns the abnormal share round; the official loop does so.
            normal = min_max(normal, self.extent, self.options.epsilon)
            abnormal = 1 - min_max(abnormal, self.extent, self.options.epsilon)
            weights.append(alpha * normal + (1 - alpha) * abnormal)
        return torch.stack(weights).expand(count, -1, -1)

    def __call__(self, features: Features, conditioning: Conditioning | None) -> Scores:
        """Return the pair (1 - q, q) per tap and the image score."""
        assert conditioning is not None  # 'text_features' is required
        weights = self.weights(features, conditioning)
        found = self.probabilities(features, conditioning)[..., ABNORMAL] * weights
        # As a pair, so that training and every post-processor find two states.
        sets = tuple(
            ScoreSet(entry.name, on_grid(torch.stack([1 - score, score], -1), grid), "probabilities")
            for (entry, grid), score in zip(patch_sets(features), found, strict=True)
        )
        peak = (found[-1] if self.options.peak == "last_tap" else found.mean(0)).amax(-1)
        image = image_probability(features, conditioning.text_features, self.options.temperature)
        beta = self.options.beta
        score = beta * image + (1 - beta) * peak
        return Scores(sets).with_image_score(score, "cops.scorer: image feature and largest patch score")


def build(options: ScorerOptions, context: BuildContext) -> PrototypeWeightedScorer:
    """Build the scorer whose min-max looks at one image."""
    return PrototypeWeightedScorer(options, "image")


def build_batch(options: ScorerOptions, context: BuildContext) -> PrototypeWeightedScorer:
    """Build the scorer whose min-max looks at the whole batch, as the official code's."""
    return PrototypeWeightedScorer(options, "batch")
