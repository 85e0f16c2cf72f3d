"""A verdict in a sentence, every word of which was computed. No torch here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zsad.detect.provenance import NO_THRESHOLD
from zsad.detect.regions import Region
from zsad.detect.verdicts import Level, confidence_words

MENTIONED = 3
"""Regions that a sentence describes and that are compared with phrases: those of the highest peaks."""


@dataclass(frozen=True)
class Name:
    """What a region looks most like.

    Attributes:
        phrase: The phrase, or None where none is clearly ahead of all others and of a flawless object.
        similarity: Cosine of the region's image feature and the best phrase's text feature.
        odds: How many times as likely as the next best sentence the best phrase is, by CLIP's softmax.
    """

    phrase: str | None
    similarity: float
    odds: float


@dataclass(frozen=True)
class FoundRegion:
    """A region with what is said of it.

    Attributes:
        region: Where it is.
        margin: How far its peak lies above the threshold of the map.
        name: What it looks like, or None where nothing was compared.
    """

    region: Region
    margin: float
    name: Name | None = None

    def plain(self) -> dict[str, Any]:
        """Return it as plain data; ``phrase`` is None for a region that was compared and is unnamed."""
        named = {} if self.name is None else {
            "phrase": self.name.phrase, "phrase_similarity": self.name.similarity,
            "phrase_odds": self.name.odds,
        }  # fmt: skip
        return {**self.region.plain(), "margin": self.margin, **named}


def measured(regions: Sequence[Region], level: Level) -> list[FoundRegion]:
    """Return regions with how far their peaks lie above a threshold of the map."""
    return [FoundRegion(region, region.peak - level.threshold) for region in regions]


@dataclass(frozen=True)
class Explanation:
    """What there is to say of an image.

    Attributes:
        regions: All regions, the highest peak first.
        sentence: Verdict, score and regions in one sentence.
    """

    regions: tuple[FoundRegion, ...]
    sentence: str


def explain(score: float, image: Level | None, pixel: Level, regions: Sequence[FoundRegion]) -> Explanation:
    """Put an image's verdict and its regions into a sentence.

    Args:
        score: The image score.
        image: The threshold of the score, or None.
        pixel: The threshold of the map.
        regions: What reaches it, the highest peak first.
    """
    return Explanation(tuple(regions), f"{_verdict(score, image)}; {_regions(regions, pixel)}.")


def _verdict(score: float, level: Level | None) -> str:
    if level is None:
        return f"{NO_THRESHOLD}: the score is {score:.4g}"
    found = level.verdict(score)
    sure = "" if found.confidence is None else f" (confidence {confidence_words(found.confidence)})"
    margin = score - level.threshold
    where = f"{abs(margin):.3g} {'above' if margin > 0 else 'below'}" if margin else "exactly at"
    return f"{found.decision}{sure}: the score {score:.4g} lies {where} the threshold {level.threshold:.4g}"


def _regions(regions: Sequence[FoundRegion], level: Level) -> str:
    limit = f"the threshold {level.threshold:.4g} of the map"
    if not regions:
        return f"no region above {limit}"
    head = "1 region reaches" if len(regions) == 1 else f"{len(regions)} regions reach"
    told = "; ".join(map(_region, regions[:MENTIONED]))
    left = len(regions) - MENTIONED
    more = f"; and {left} of lower {'peaks' if left > 1 else 'peak'}" if left > 0 else ""
    return f"{head} {limit}: {told}{more}"


def _region(found: FoundRegion) -> str:
    region, name = found.region, found.name
    words = f"{region.position}, {area_words(region.area)} of the image, peak {region.peak:.4g} "
    words += f"({found.margin:.3g} above)" if found.margin else "(exactly at it)"
    if name is None:
        return words
    return f"{words}, unnamed" if name.phrase is None else f"{words}, most like '{name.phrase}'"


def area_words(share: float) -> str:
    """Return a region's share of the image in per cent: ``1.3 %``, ``below 0.01 %``."""
    if share < 1e-4:
        return "below 0.01 %"
    return f"{share * 100:.2g} %" if share < 0.1 else f"{share * 100:.0f} %"
