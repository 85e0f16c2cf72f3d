"""Cosine similarity of tokens and image with the two text features."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.errors import InputError
from zsad.parts import BuildContext
from zsad.values import ABNORMAL, Conditioning, Features, Grid, Scores, ScoreSet
from zsad_plugins.standard.options import CosineOptions


def cosine_logits(tokens: Tensor, text_features: Tensor, temperature: float) -> Tensor:
    """Return cos(token, text) / temperature.

    Args:
        tokens: [B, N, C].
        text_features: [B, 2, C], normalised.
        temperature: Divisor.

    Returns:
        [B, N, 2].
    """
    return F.normalize(tokens, dim=-1) @ text_features.transpose(-1, -2) / temperature


def on_grid(values: Tensor, grid: Grid) -> Tensor:
    """Lay token scores [B, N, K] out as [B, K, h, w]."""
    return values.transpose(1, 2).reshape(*values.shape[::2], grid.height, grid.width)


def image_probability(features: Features, text_features: Tensor, temperature: float) -> Tensor:
    """Return the abnormal state's softmax probability of the image features: [B]."""
    logits = cosine_logits(features.image_feature[:, None], text_features, temperature)
    return torch.softmax(logits[:, 0], dim=-1)[:, ABNORMAL]


class CosineScorer:
    """Scores every token set by its logits, and the image by its probability."""

    def __init__(self, options: CosineOptions) -> None:
        self.temperature = options.temperature

    def __call__(self, features: Features, conditioning: Conditioning | None) -> Scores:
        """Return logits per token set and the image score."""
        assert conditioning is not None  # 'text_features' is required
        text = conditioning.text_features
        sets = []
        for entry in features.token_sets:
            if not isinstance(entry.layout, Grid):
                raise InputError(f"standard.cosine scores patch tokens; '{entry.name}' holds windows")
            logits = cosine_logits(entry.tokens, text, self.temperature)
            sets.append(ScoreSet(entry.name, on_grid(logits, entry.layout), "logits"))
        score = image_probability(features, text, self.temperature)
        return Scores(tuple(sets)).with_image_score(score, "standard.cosine: image feature")


def build_cosine(options: CosineOptions, context: BuildContext) -> CosineScorer:
    """Build the scorer."""
    return CosineScorer(options)
