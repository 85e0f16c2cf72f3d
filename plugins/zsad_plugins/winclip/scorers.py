"""From window scores to patch scores, by harmonic means (paper, section 4.2)."""

from __future__ import annotations

import torch
from torch import Tensor

from zsad.errors import InputError
from zsad.parts import BuildContext
from zsad.values import ABNORMAL, NORMAL, Conditioning, Features, Grid, Scores, ScoreSet, TokenSet, Windows
from zsad_plugins.standard.scorers import cosine_logits, image_probability
from zsad_plugins.winclip.options import ScorerOptions


def window_probability(entry: TokenSet, text_features: Tensor, temperature: float, state: int) -> Tensor:
    """Return softmax(cos / temperature)[state] of every window: [B, windows]."""
    logits = cosine_logits(entry.tokens, text_features, temperature)
    return torch.softmax(logits, dim=-1)[..., state]


def mean_inverse(probability: Tensor, windows: Windows) -> Tensor:
    """Return, per patch, the mean of 1 / p over the windows that cover it.

    Args:
        probability: [B, windows].
        windows: Which window covers which patch.

    Returns:
        [B, h * w]; its inverse is the harmonic mean of p.
    """
    incidence = windows.incidence.to(probability.dtype)
    return (1 / probability) @ incidence / incidence.sum(dim=0)


def _window_sets(features: Features) -> list[tuple[TokenSet, Windows]]:
    found = [(entry, entry.layout) for entry in features.token_sets if isinstance(entry.layout, Windows)]
    if not found:
        raise InputError("WinCLIP's scorers need window tokens; use --set attention_refiner=winclip.windows")
    return found


def _as_scores(patches: Tensor, grid: Grid) -> Scores:
    values = patches.reshape(-1, 1, grid.height, grid.width)
    return Scores((ScoreSet("windows", values, "anomaly"),))


class AnomalyScorer:
    """M = (S + 1) / (1 / s + sum over scales of 1 / M_scale), with s the full image's own score.

    M_scale is the harmonic mean, over the windows that cover a patch, of their abnormal probability.
    The image score is s (paper, equation 3).
    """

    def __init__(self, temperature: float) -> None:
        self.temperature = temperature

    def __call__(self, features: Features, conditioning: Conditioning | None) -> Scores:
        """Return the fused map on the grid and the image score."""
        assert conditioning is not None  # 'text_features' is required
        text = conditioning.text_features
        image = image_probability(features, text, self.temperature)
        sets = _window_sets(features)
        total = (1 / image)[:, None]
        for entry, windows in sets:
            total = total + mean_inverse(window_probability(entry, text, self.temperature, ABNORMAL), windows)
        scores = _as_scores((len(sets) + 1) / total, sets[0][1].grid)
        return scores.with_image_score(image, "winclip.anomaly: image feature")


class NormalityScorer:
    """t = 1 - 1 / m, with m the mean over scales of the mean of 1 / p_normal over covering windows.

    The third-party code then fuses t with itself harmonically without the factor 2, which leaves t / 2.
    """

    def __init__(self, temperature: float) -> None:
        self.temperature = temperature

    def textual_map(self, features: Features, conditioning: Conditioning) -> Tensor:
        """Return t, [B, h * w]."""
        text = conditioning.text_features
        scales = [
            mean_inverse(window_probability(entry, text, self.temperature, NORMAL), windows)
            for entry, windows in _window_sets(features)
        ]
        return 1 - 1 / torch.stack(scales).mean(0)

    def __call__(self, features: Features, conditioning: Conditioning | None) -> Scores:
        """Return the fused map on the grid."""
        assert conditioning is not None  # 'text_features' is required
        return _as_scores(self.textual_map(features, conditioning) / 2, _window_sets(features)[0][1].grid)


def build_anomaly(options: ScorerOptions, context: BuildContext) -> AnomalyScorer:
    """Build the paper's scorer."""
    return AnomalyScorer(options.temperature)


def build_normality(options: ScorerOptions, context: BuildContext) -> NormalityScorer:
    """Build the third-party scorer."""
    return NormalityScorer(options.temperature)
