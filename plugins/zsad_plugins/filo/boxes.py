"""HQ-Loc's rules: which boxes of a detector count as an anomaly of an object (paper, section 3.3)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zsad.parts import BuildContext
from zsad.values import Sample
from zsad_plugins.filo.options import DetectorOptions
from zsad_plugins.filo.places import ACCEPTED, BOX, COLUMNS, SCORE


@dataclass(frozen=True)
class Detections:
    """What a detector found in an image.

    Attributes:
        boxes: [n, 4] centre x, centre y, width, height as shares of the image, float32.
        scores: [n] float32.
        phrases: The words that each box stands for.
    """

    boxes: Tensor
    scores: Tensor
    phrases: tuple[str, ...]


@dataclass(frozen=True)
class BoxRules:
    """Keeps boxes and accepts some of them.

    Attributes:
        options: Threshold, largest area and way of matching words.
    """

    options: DetectorOptions

    def kept(self, found: Detections) -> Detections:
        """Return confident boxes of a sensible size, or the single best one of all if there are none.

        A box that is no more than the best of all has no word above the threshold, and so an empty phrase.
        """
        if not len(found.scores):
            return found
        area = found.boxes[:, 2] * found.boxes[:, 3]
        above = found.scores > self.options.threshold
        rows = (above & (area < self.options.largest)).nonzero().flatten().tolist()
        rows = rows or [int(found.scores.argmax())]
        phrases = tuple(found.phrases[row] if above[row] else "" for row in rows)
        return Detections(found.boxes[rows], found.scores[rows], phrases)

    def accepts(self, phrase: str, words: Sequence[str]) -> bool:
        """Whether a box's phrase speaks of an anomaly.

        Args:
            phrase: What the detector says, in lower case.
            words: ``substring`` looks for their letters, capitals included, so "undamaged" holds "damage" and
                a word with a capital is never found; ``words`` looks for whole words in any case.
        """
        if self.options.match == "substring":
            return any(word in phrase for word in words)
        whole = (rf"\b{re.escape(word.strip())}\b" for word in words)
        return any(re.search(pattern, phrase, re.IGNORECASE) for pattern in whole)

    def table(self, found: Detections, words: Sequence[str], size: tuple[int, int]) -> Tensor:
        """Return the kept boxes as a table [k, 6], see :mod:`zsad_plugins.filo.places`.

        Args:
            found: What a detector found.
            words: General words and those of the object.
            size: Height and width of the resized image in pixels.
        """
        kept = self.kept(found)
        accepted = torch.tensor([self.accepts(phrase, words) for phrase in kept.phrases], dtype=torch.bool)
        height, width = size
        pixels = kept.boxes * torch.tensor([width, height, width, height])
        low = pixels[:, :2] - pixels[:, 2:] / 2
        corners = torch.cat([low, low + pixels[:, 2:]], dim=1)
        table = torch.zeros(len(kept.scores), COLUMNS)
        table[:, BOX] = torch.where(accepted[:, None], corners, kept.boxes)
        table[:, SCORE] = kept.scores
        table[:, ACCEPTED] = accepted.float()
        return table


def padded(tables: Sequence[Tensor], rows: int) -> Tensor:
    """Return tables [k, 6] with rows of zeros below: [B, rows, 6]."""
    result = torch.zeros(len(tables), rows, COLUMNS)
    for place, table in enumerate(tables):
        result[place, : len(table)] = table
    return result


class NoBoxes:
    """Stands for the detector where there is none: an image has no boxes."""

    def __init__(self, options: None, context: BuildContext) -> None:
        pass

    def __call__(self, samples: Sequence[Sample], images: Tensor) -> Mapping[str, Tensor]:
        """Return an empty table per image, [B, 0, 6]."""
        return {"filo.boxes": padded([images.new_zeros(0, COLUMNS)] * len(samples), 0).to(images.device)}
