"""Scores by the unshifted prompts (the first look) and by the shifted ones (the second)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from zsad.parts import BuildContext
from zsad.values import ABNORMAL, Conditioning, Features, Scores, ScoreSet
from zsad_plugins.faprompt.options import ScorerOptions
from zsad_plugins.standard.options import CosineOptions
from zsad_plugins.standard.scorers import CosineScorer, image_probability

FIRST = "first."
"""What the names of the first look's score sets begin with."""


class TwoLooks:
    """Hands on the logits of both looks; the image score is (p + (2 M_1 + M_2) / 3) / 2.

    p is the image feature's probability by the shifted prompts, M_i the largest abnormal probability of a
    patch in look i, at the last tap. Where no conditioner asked for a first look, there is only the one.
    """

    def __init__(self, options: ScorerOptions, context: BuildContext) -> None:
        self.temperature = options.temperature
        self.cosine = CosineScorer(CosineOptions(temperature=options.temperature))

    def __call__(self, features: Features, conditioning: Conditioning) -> Scores:
        """Return the first look's score sets, if any, then the second's, and the image score."""
        found = self.cosine(features, conditioning)
        if conditioning.provisional is None:
            return found
        first = conditioning.provisional.scores.sets
        own = image_probability(features, conditioning.text_features, self.temperature)
        largest = (2 * largest_probability(first[-1]) + largest_probability(found.sets[-1])) / 3
        renamed = tuple(replace(entry, name=FIRST + entry.name) for entry in first)
        return Scores((*renamed, *found.sets)).with_image_score(
            (own + largest) / 2, "faprompt.two_looks: image feature, largest patch of both looks"
        )


def largest_probability(entry: ScoreSet) -> Tensor:
    """Return the largest abnormal probability of a set of logits on its grid, [B]."""
    return torch.softmax(entry.values, dim=1)[:, ABNORMAL].flatten(1).amax(1)
