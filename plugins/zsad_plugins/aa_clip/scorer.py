"""Dot products with both states; nothing is normalised here."""

from __future__ import annotations

from zsad.parts import BuildContext
from zsad.values import ABNORMAL, Conditioning, Features, Scores, ScoreSet
from zsad_plugins.aa_clip.options import ScorerOptions


class DotScorer:
    """z = F · t / temperature per patch, and the image score (g · t_abnormal + 1) / 2."""

    def __init__(self, options: ScorerOptions, context: BuildContext) -> None:
        self.temperature = options.temperature

    def __call__(self, features: Features, conditioning: Conditioning) -> Scores:
        """Return logits per token set and the image score."""
        text = conditioning.text_features
        sets = tuple(
            ScoreSet(
                entry.name,
                entry.grid.to_maps(entry.tokens @ text.transpose(1, 2) / self.temperature),
                "logits",
            )
            for entry in features.token_sets
        )
        score = ((features.image_feature * text[:, ABNORMAL]).sum(-1) + 1) / 2
        return Scores(sets).with_image_score(score, "aa-clip.dot: image feature")
