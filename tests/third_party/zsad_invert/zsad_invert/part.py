"""The part ``invert.invert``."""

from __future__ import annotations

import dataclasses

from zsad.errors import ZsadError
from zsad.parts import BuildContext
from zsad.values import Features, Scores
from zsad_invert.options import InvertOptions


class Invert:
    """Takes each image's map away from its largest value."""

    def __init__(self, strength: float) -> None:
        self.strength = strength

    def __call__(self, scores: Scores, features: Features) -> Scores:
        """Return the scores with the inverted map."""
        if scores.map is None:
            raise ZsadError("invert.invert needs a map; put it after the step that makes one")
        largest = scores.map.amax(dim=(-2, -1), keepdim=True)
        return dataclasses.replace(scores, map=self.strength * (largest - scores.map))


def build(options: InvertOptions, context: BuildContext) -> Invert:
    """Make the part."""
    return Invert(options.strength)
