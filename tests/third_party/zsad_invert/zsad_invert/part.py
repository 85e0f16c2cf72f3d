"""The part ``invert.invert``."""

from __future__ import annotations

import dataclasses

from zsad.parts import BuildContext
from zsad.values import Features, Scores
from zsad_invert.options import InvertOptions


class Invert:
    """Takes each image's map away from its largest value."""

    def __init__(self, options: InvertOptions, context: BuildContext) -> None:
        self.strength = options.strength

    def __call__(self, scores: Scores, features: Features) -> Scores:
        """Return the scores with the inverted map."""
        maps = scores.required_map
        largest = maps.amax(dim=(-2, -1), keepdim=True)
        return dataclasses.replace(scores, map=self.strength * (largest - maps))
