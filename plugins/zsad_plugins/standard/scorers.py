"""Cosine similarity of tokens and image with the two text features."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.parts import BuildContext
from zsad.values import ABNORMAL, Conditioning, Features, Scores, ScoreSet
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


def image_probability(features: Features, text_features: Tensor, temperature: float) -> Tensor:
    """Return the abnormal state's softmax probability of the image features: [B]."""
    logits = cosine_logits(features.image_feature[:, None], text_features, temperature)
    return torch.softmax(logits[:, 0], dim=-1)[:, ABNORMAL]


class CosineScorer:
    """Scores every token set by its logits, and the image by its probability."""

    def __init__(self, options: CosineOptions, context: BuildContext | None = None) -> None:
        self.temperature = options.temperature

    def __call__(self, features: Features, conditioning: Conditioning) -> Scores:
        """Return logits per token set and the image score."""
        text = conditioning.text_features
        sets = tuple(
            ScoreSet(
                entry.name, entry.grid.to_maps(cosine_logits(entry.tokens, text, self.temperature)), "logits"
            )
            for entry in features.token_sets
        )
        score = image_probability(features, text, self.temperature)
        return Scores(sets).with_image_score(score, "standard.cosine: image feature")
