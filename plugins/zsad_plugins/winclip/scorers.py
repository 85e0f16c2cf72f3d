"""From window scores to patch scores, by harmonic means (paper, section 4.2)."""

from __future__ import annotations

import torch
from torch import Tensor

from zsad.parts import BuildContext
from zsad.values import ABNORMAL, NORMAL, Conditioning, Features, Scores, ScoreSet, TokenSet
from zsad_plugins.standard.scorers import cosine_logits, image_probability
from zsad_plugins.winclip.options import ScorerOptions


def window_probability(entry: TokenSet, text_features: Tensor, temperature: float, state: int) -> Tensor:
    """Return softmax(cos / temperature)[state] of every window: [B, windows]."""
    logits = cosine_logits(entry.tokens, text_features, temperature)
    return torch.softmax(logits, dim=-1)[..., state]


def mean_inverse(entry: TokenSet, text_features: Tensor, temperature: float, state: int) -> Tensor:
    """Return, per patch, the mean of 1 / p over the windows that cover it, p their probability of a state.

    Returns:
        [B, h * w]; its inverse is the harmonic mean of p.
    """
    probability = window_probability(entry, text_features, temperature, state)
    incidence = entry.windows.incidence.to(probability.dtype)
    return (1 / probability) @ incidence / incidence.sum(dim=0)


def patch_scores(values: Tensor, features: Features) -> Scores:
    """Return the scores [B, h * w] of the patches that the windows cover as a score set."""
    grid = features.window_sets[0].windows.grid
    return Scores((ScoreSet("windows", grid.to_maps(values[..., None]), "anomaly"),))


class AnomalyScorer:
    """M = (S + 1) / (1 / s + sum over scales of 1 / M_scale), with s the full image's own score.

    M_scale is the harmonic mean, over the windows that cover a patch, of their abnormal probability.
    The image score is s (paper, equation 3).
    """

    def __init__(self, options: ScorerOptions, context: BuildContext) -> None:
        self.temperature = options.temperature

    def __call__(self, features: Features, conditioning: Conditioning) -> Scores:
        """Return the fused map on the grid and the image score."""
        text, scales = conditioning.text_features, features.window_sets
        image = image_probability(features, text, self.temperature)
        total = (1 / image)[:, None]
        for entry in scales:
            total = total + mean_inverse(entry, text, self.temperature, ABNORMAL)
        scores = patch_scores((len(scales) + 1) / total, features)
        return scores.with_image_score(image, "winclip.anomaly: image feature")


class NormalityScorer:
    """t = 1 - 1 / m, with m the mean over scales of the mean of 1 / p_normal over covering windows.

    The third-party code then fuses t with itself harmonically without the factor 2, which leaves t / 2.
    """

    def __init__(self, options: ScorerOptions, context: BuildContext) -> None:
        self.temperature = options.temperature

    def textual_map(self, features: Features, conditioning: Conditioning) -> Tensor:
        """Return t, [B, h * w]."""
        text = conditioning.text_features
        scales = [mean_inverse(entry, text, self.temperature, NORMAL) for entry in features.window_sets]
        return 1 - 1 / torch.stack(scales).mean(0)

    def __call__(self, features: Features, conditioning: Conditioning) -> Scores:
        """Return the fused map on the grid."""
        return patch_scores(self.textual_map(features, conditioning) / 2, features)
