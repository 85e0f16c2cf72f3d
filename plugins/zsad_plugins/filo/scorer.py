"""Dot products with the two short text features."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from zsad.parts import BuildContext
from zsad.values import ABNORMAL, Conditioning, Features, Scores, ScoreSet
from zsad_plugins.filo.options import ScorerOptions
from zsad_plugins.standard.scorers import cosine_logits, image_probability


class DotScorer:
    """Scores token sets by dot product / temperature, and the image by its dot product with abnormal text."""

    def __init__(self, options: ScorerOptions, context: BuildContext) -> None:
        self.options = options

    def __call__(self, features: Features, conditioning: Conditioning) -> Scores:
        """Return logits per token set and the image's own score."""
        text, temperature = conditioning.text_features, self.options.temperature
        sets = tuple(
            ScoreSet(entry.name, entry.grid.to_maps(cosine_logits(entry.tokens, text, temperature)), "logits")
            for entry in features.token_sets
        )
        if self.options.image == "softmax":
            score = image_probability(features, text, temperature)
        else:
            feature = F.normalize(features.image_feature, dim=-1)
            score = torch.linalg.vecdot(feature, text[:, ABNORMAL])
        return Scores(sets).with_image_score(score, f"filo.dot: image feature, {self.options.image}")
