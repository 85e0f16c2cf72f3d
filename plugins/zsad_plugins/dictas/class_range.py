"""The published image score: text and map, each scaled over the class's whole test set, then mixed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from zsad.errors import InputError
from zsad.parts import BuildContext
from zsad.values import Features, Scores, join_scores
from zsad_plugins.dictas.options import RangeOptions


def scaled(values: Tensor) -> Tensor:
    """Return (v - min) / (max - min + 1e-6) of [B]."""
    low, high = values.aminmax()
    return (values - low) / (high - low + 1e-6)


class ClassRange:
    """score = a scaled(text's score) + (1 - a) scaled(maximum of the map).

    An image's score depends on which other images are tested with it: this is transductive.
    """

    def __init__(self, options: RangeOptions, context: BuildContext) -> None:
        self.share = options.text_share

    def collect(self, scores: Scores, features: Features) -> Scores:
        """Return map and score of a batch."""
        return replace(scores, sets=())

    def finalize(self, scope: Sequence[Scores]) -> Scores:
        """Return the scores of all images of the class.

        Raises:
            InputError: The class has a single image, whose scores have no range to lie in.
        """
        scores = join_scores(scope)
        text, peak = scores.required_image_score, scores.required_map.flatten(1).amax(1)
        if len(peak) < 2:
            raise InputError(
                "part 'dictas.class_range' scales scores over the images of a class, and one image has no "
                "range; give several, or use the method 'dictas'"
            )
        mixed = self.share * scaled(text) + (1 - self.share) * scaled(peak)
        return scores.with_image_score(mixed, "dictas.class_range")
