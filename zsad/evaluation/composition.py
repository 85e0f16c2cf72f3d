"""Pairs of parts composed, run untrained on a backbone, and compared with the recipes that they come from."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from zsad.backbones.clip import ClipBackbone
from zsad.detect.loading import load
from zsad.detect.request import DetectorRequest
from zsad.errors import InputError
from zsad.plugin.host import Host
from zsad.plugin.imports import cause
from zsad.recipe.composition import Pair, Side, usable_recipes
from zsad.recipe.settings import Settings
from zsad.values import Sample

Map = npt.NDArray[np.float64]

TOLERANCE = 1e-6
"""Maps that differ by no more than this share of their scale are the same map."""

SHAPE = 1e-3
"""So are maps that differ by no more than this when each is brought to 0..1: a factor is no new map."""


def difference(found: Map, other: Map) -> float:
    """Return the largest difference of two maps, each brought to 0..1.

    It is 0 for maps that are the same to :data:`TOLERANCE`, and where ``found`` is flat or not finite.
    """
    scale = max(abs(found).max(), abs(other).max())
    spread, spread_other = found.max() - found.min(), other.max() - other.min()
    flat = not min(spread, spread_other) > TOLERANCE * scale  # so that it holds for NaN as well
    if flat or (found.shape == other.shape and abs(found - other).max() <= TOLERANCE * scale):
        return 0.0
    return float(abs((found - found.min()) / spread - (other - other.min()) / spread_other).max())


class Composer:
    """Composes pairs on one backbone, and keeps the maps of the recipes that they come from.

    Parts are untrained. What they are drawn from is a seed of the recipe's own: methods are learned apart,
    and with one seed for all, two whose prompt learners are of one make would be one method.

    Attributes:
        host: Where parts and recipes are looked up.
        backbone: Loaded once for all.
        samples: The images.
        image_size: Side of the square input, or its short side.
        recipes: Those that pairs are composed on.
    """

    def __init__(
        self, host: Host, backbone: ClipBackbone, samples: Sequence[Sample], image_size: int | None = None
    ) -> None:
        self.host, self.backbone, self.samples = host, backbone, samples
        self.image_size = image_size or backbone.vision_tower().native_image_size
        self.recipes = usable_recipes(host)
        self._maps: dict[str, Map] = {}

    def compose(self, first: Side, second: Side) -> Pair:
        """Compose a pair on the second side's recipe, or where that is refused on the first side's."""
        for name, recipe in self.recipes.items():
            if first.is_in(self.host, recipe) and second.is_in(self.host, recipe):
                return self._attempt(first, second, name)
        refusals: list[Pair] = []
        for base, guest in ((second, first), (first, second)):
            pair = self._attempt(first, second, base.recipe, guest)
            if pair.status != "refused":
                return pair
            refusals.append(pair)
        # A recipe refuses for the sake of its other parts too; what the two themselves require says more.
        needs = first.requires(self.host) | second.requires(self.host)
        telling = (pair for pair in refusals if any(f"'{need}'" in (pair.sentence or "") for need in needs))
        return next(telling, refusals[0])

    def _attempt(self, first: Side, second: Side, base: str, guest: Side | None = None) -> Pair:
        """Run a recipe as it is, or with a guest's parts."""
        labels = first.label, second.label
        overrides = tuple(guest.overrides(self.recipes[base])) if guest else ()
        try:
            if guest is None:
                self._recipe_map(base)
                return Pair(*labels, "recipe", base)
            found = self._map(base, overrides)
            least = min(difference(found, self._recipe_map(side.recipe)) for side in (first, second))
        except InputError as error:
            return Pair(*labels, "refused", base, overrides, sentence=str(error))
        except Exception as error:  # a crash of one pair is a finding, and no reason to stop
            return Pair(*labels, "failed", base, overrides, sentence=cause(error))
        return Pair(*labels, "runs" if least > SHAPE else "same", base, overrides, least)

    def _recipe_map(self, name: str) -> Map:
        if name not in self._maps:
            self._maps[name] = self._map(name, ())
        return self._maps[name]

    def _map(self, recipe: str, overrides: tuple[str, ...]) -> Map:
        """Return the anomaly maps [B, S, S] of an untrained method."""
        request = DetectorRequest(
            method=recipe,
            image_size=self.image_size,
            overrides=Settings.parse(overrides),
            seed=zlib.crc32(recipe.encode()),
            untrained=True,
        )
        detector = load(request, self.host, self.backbone)
        prediction = detector.predict(self.samples)
        found: Map = prediction.anomaly_map.double().cpu().numpy()
        return found
