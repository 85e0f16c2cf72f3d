"""A first answer of text side and scorer, on which a conditioner goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zsad.values import Conditioning, Scores


@dataclass(frozen=True)
class Provisional:
    """What the unedited prompts of a class give, for a conditioner that asks for it.

    Attributes:
        conditioning: The text side of the unedited prompts.
        scores: The scorer's answer to it.
    """

    conditioning: Conditioning
    scores: Scores

    def select(self, places: Sequence[int]) -> Provisional:
        """Return what belongs to the images at ``places`` of the batch."""
        return Provisional(self.conditioning.select(places), self.scores.select(places))
