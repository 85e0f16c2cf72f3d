"""Explanations for images as their answers come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest

from zsad.detect.explanations import MENTIONED, Explanation, explain, measured
from zsad.detect.naming import Namer
from zsad.detect.predictions import FailedImage, ImageResult
from zsad.detect.regions import find_regions, mask_at
from zsad.detect.verdicts import Level
from zsad.errors import InputError


@dataclass(frozen=True)
class Explainer:
    """Explains images.

    Attributes:
        image: The threshold of the score, or None.
        pixel: The threshold of the map.
        namer: Who names regions, or None where the backbone reads no text.
    """

    image: Level | None
    pixel: Level
    namer: Namer | None

    def explained(self, results: Iterable[ImageResult | FailedImage]) -> Iterator[ImageResult | FailedImage]:
        """Yield results with their explanations.

        An image that had to be read again, and cannot be, has failed.
        """
        for result in results:
            if isinstance(result, FailedImage):
                yield result
                continue
            try:
                yield replace(result, explanation=self.explain(result))
            except InputError as error:
                yield FailedImage(result.path, str(error))

    def explain(self, result: ImageResult) -> Explanation:
        """Explain one image.

        Raises:
            InputError: The image had to be read again, and cannot be.
        """
        mask = mask_at(result.anomaly_map, self.pixel.threshold)
        found = measured(find_regions(mask, result.anomaly_map), self.pixel)
        if self.namer is not None and found:
            boxes = [entry.region.box for entry in found[:MENTIONED]]
            names = self.namer.names(result.image(), boxes)
            found = [replace(entry, name=name) for entry, name in zip_longest(found, names)]
        return explain(result.score, self.image, self.pixel, found)
