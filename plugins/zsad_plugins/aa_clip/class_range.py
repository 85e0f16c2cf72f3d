"""The published image score: maps and scores scaled over the class's whole test set, then mixed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from zsad.parts import BuildContext
from zsad.values import Features, Scores, join_scores
from zsad_plugins.aa_clip.options import RangeOptions


def scaled(values: Tensor) -> Tensor:
    """Return values brought to 0..1; left as they are where the largest is 1, as in the published code.

    Values that are all alike become 0.
    """
    low, high = values.aminmax()
    if float(high) == 1.0:
        return values
    return (values - low) / (high - low).clamp_min(torch.finfo(values.dtype).tiny)


class ClassRange:
    """score = s max(scaled map) + (1 - s) scaled score; the map becomes the scaled one.

    An image's score depends on which other images are tested with it: this is transductive.
    """

    def __init__(self, options: RangeOptions, context: BuildContext) -> None:
        self.share = options.share

    def collect(self, scores: Scores, features: Features) -> Scores:
        """Return map and score of a batch."""
        return replace(scores, sets=())

    def finalize(self, scope: Sequence[Scores]) -> Scores:
        """Return the scores of all images of the class."""
        scores = join_scores(scope)
        maps = scaled(scores.required_map)
        score = self.share * maps.flatten(1).amax(1) + (1 - self.share) * scaled(scores.required_image_score)
        return replace(scores, map=maps).with_image_score(score, "aa-clip.class_range")
