"""Dot products with the two short text features."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from zsad.errors import InputError
from zsad.parts import BuildContext
from zsad.values import ABNORMAL, Conditioning, Features, Grid, Scores, ScoreSet
from zsad_plugins.filo.options import ScorerOptions
from zsad_plugins.standard.scorers import cosine_logits, image_probability, on_grid


class DotScorer:
    """Scores token sets by dot product / temperature, and the image by its dot product with abnormal text."""

    def __init__(self, options: ScorerOptions) -> None:
        self.options = options

    def __call__(self, features: Features, conditioning: Conditioning | None) -> Scores:
        """Return logits per token set and the image's own score."""
        assert conditioning is not None  # 'text_features' are required
        text, sets = conditioning.text_features, []
        for entry in features.token_sets:
            if not isinstance(entry.layout, Grid):
                raise InputError(f"filo.dot scores patch tokens; '{entry.name}' holds windows")
            logits = cosine_logits(entry.tokens, text, self.options.temperature)
            sets.append(ScoreSet(entry.name, on_grid(logits, entry.layout), "logits"))
        if self.options.image == "softmax":
            score = image_probability(features, text, self.options.temperature)
        else:
            feature = F.normalize(features.image_feature, dim=-1)
            score = torch.linalg.vecdot(feature, text[:, ABNORMAL])
        return Scores(tuple(sets)).with_image_score(score, f"filo.dot: image feature, {self.options.image}")


def build(options: ScorerOptions, context: BuildContext) -> DotScorer:
    """Build the scorer."""
    return DotScorer(options)
