"""Scores weighted by the distances to prototypes: alignment that knows where in the image it looks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.parts import BuildContext
from zsad.values import ABNORMAL, Conditioning, Features, Scores, ScoreSet
from zsad_plugins.cops.options import Extent, ScorerOptions
from zsad_plugins.cops.tokens import tap_mean
from zsad_plugins.standard.scorers import cosine_logits, image_probability


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

    def __init__(self, options: ScorerOptions, context: BuildContext) -> None:
        self.options = options

    def probabilities(self, features: Features, conditioning: Conditioning) -> Tensor:
        """Return softmax(cos(F, T) / t) per tap, [taps, B, N, 2]."""
        text, temperature = conditioning.text_features, self.options.temperature
        logits = [cosine_logits(entry.tokens, text, temperature) for entry in features.patch_sets]
        return torch.softmax(torch.stack(logits), dim=-1)

    def weights(self, features: Features, conditioning: Conditioning) -> Tensor:
        """Return w per tap, [taps, B, N]: the same for all, unless every tap rescales."""
        tokens, found, options = tap_mean(features), conditioning.intermediates, self.options
        normal = nearest_distance(tokens, found["prototypes.normal"])
        abnormal = nearest_distance(tokens, found["prototypes.abnormal"])
        count, weights = len(features.patch_sets), []
        for _ in range(count if options.rescaling == "every_tap" else 1):
            # From the second time on this turns the abnormal share round; the official loop does so.
            normal = min_max(normal, options.extent, options.epsilon)
            abnormal = 1 - min_max(abnormal, options.extent, options.epsilon)
            weights.append(options.alpha * normal + (1 - options.alpha) * abnormal)
        return torch.stack(weights).expand(count, -1, -1)

    def __call__(self, features: Features, conditioning: Conditioning) -> Scores:
        """Return the pair (1 - q, q) per tap and the image score."""
        weights, beta = self.weights(features, conditioning), self.options.beta
        found = self.probabilities(features, conditioning)[..., ABNORMAL] * weights
        # As a pair, so that training and every post-processor find two states.
        sets = tuple(
            ScoreSet(entry.name, entry.grid.to_maps(torch.stack([1 - q, q], -1)), "probabilities")
            for entry, q in zip(features.patch_sets, found, strict=True)
        )
        peak = (found[-1] if self.options.peak == "last_tap" else found.mean(0)).amax(-1)
        image = image_probability(features, conditioning.text_features, self.options.temperature)
        score = beta * image + (1 - beta) * peak
        return Scores(sets).with_image_score(score, "cops.scorer: image feature and largest patch score")
