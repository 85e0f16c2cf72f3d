"""Scoring images batch by batch, with parts that answer at once or only when they saw a whole class."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.data.order import places_by_name
from zsad.detect.text_side import without_text
from zsad.errors import InputError, ZsadError
from zsad.parts import PostProcessor, Scorer, TwoPhasePostProcessor, TwoPhaseScorer
from zsad.recipe.resolved import ResolvedRecipe
from zsad.values import Conditioning, Features, Prediction, Scores, join_scores


@dataclass(frozen=True)
class _Batch:
    """What the stages of a batch may read."""

    features: Features
    conditioning: Conditioning

    def select(self, places: Sequence[int]) -> _Batch:
        return _Batch(self.features.select(places), self.conditioning.select(places))


@dataclass(frozen=True)
class _Stage:
    """A scorer or a post-processor, of one phase or two, seen alike.

    Attributes:
        part: The part; the four protocols differ in what they are called with.
        is_scorer: The scorer reads features and conditioning, a post-processor scores and features.
    """

    part: Any
    is_scorer: bool

    @property
    def two_phase(self) -> bool:
        return isinstance(self.part, (TwoPhaseScorer, TwoPhasePostProcessor))

    def _ask(self, method: Callable[..., Any], scores: Scores, batch: _Batch) -> Any:
        if self.is_scorer:
            return method(batch.features, batch.conditioning)
        return method(scores, batch.features)

    def run(self, scores: Scores, batch: _Batch) -> Scores:
        """Answer for a batch; a two-phase part takes each class of the batch as a scope."""
        if self.two_phase:
            places = places_by_name(batch.features.class_names)
            kept = self.collect(scores, batch, places)
            return self.finalize({name: [entry] for name, entry in kept.items()}, places)
        result: Scores = self._ask(self.part, scores, batch)
        return result

    def collect(
        self, scores: Scores, batch: _Batch, places: Mapping[str, Sequence[int]]
    ) -> dict[str, object]:
        """Return what a two-phase part keeps of each class of a batch."""
        if len(places) == 1:
            return {name: self._ask(self.part.collect, scores, batch) for name in places}
        return {
            name: self._ask(self.part.collect, scores.select(own), batch.select(own))
            for name, own in places.items()
        }

    def finalize(self, kept: Mapping[str, Sequence[object]], places: Mapping[str, Sequence[int]]) -> Scores:
        """Return a two-phase part's scores of all images, each at its place."""
        found: list[Scores] = [self.part.finalize(kept[name]) for name in places]
        if len(found) == 1:
            return found[0]
        return join_scores(found).select(torch.tensor([*chain(*places.values())]).argsort().tolist())


class Scope:
    """The images over which a method's two-phase parts look, class by class.

    Methods without such parts answer every batch at once; the others answer in :meth:`finish`.
    """

    def __init__(
        self,
        scorer: Scorer | TwoPhaseScorer[Any],
        post_processors: Sequence[PostProcessor | TwoPhasePostProcessor[Any]],
    ) -> None:
        self._stages = [_Stage(scorer, True), *(_Stage(part, False) for part in post_processors)]
        waiting = [place for place, stage in enumerate(self._stages) if stage.two_phase]
        self._split = waiting[0] if waiting else len(self._stages)
        self._kept: dict[str, list[object]] = {}
        self._seen: list[Features] = []

    @property
    def waits(self) -> bool:
        """Whether answers come only at the end of the scope."""
        return self._split < len(self._stages)

    def add(self, features: Features, conditioning: Conditioning) -> Prediction | None:
        """Take a batch; return its prediction, or None where the scope has to be complete first."""
        batch = _Batch(features, conditioning)
        scores = _last(self._stages[: self._split], Scores(), batch)
        if not self.waits:
            return _prediction(scores, features)
        if self._seen and self._seen[0].whole_size != features.whole_size:
            height, width = features.whole_size
            raise InputError(
                f"this method compares images with one another and takes them of one shape; one of {width} x "
                f"{height} pixels came after others; use --set profile.image_resize=squash"
            )
        places = places_by_name(features.class_names)
        for name, entry in self._stages[self._split].collect(scores, batch, places).items():
            self._kept.setdefault(name, []).append(entry)
        # Token sets and side inputs of a whole scope would not fit memory.
        self._seen.append(replace(features, token_sets=(), auxiliary={}, prepass=None))
        return None

    def finish(self) -> Prediction | None:
        """Return the predictions of all collected images, in order, or None where none waited."""
        if not self._seen:
            return None
        kept, seen = self._kept, self._seen
        self._kept, self._seen = {}, []
        features = Features(
            (),
            torch.cat([entry.image_feature for entry in seen]),
            tuple(name for entry in seen for name in entry.class_names),
            seen[0].input_size,
            names=tuple(name for entry in seen for name in entry.names),
            cut=seen[0].cut,
        )
        scores = self._stages[self._split].finalize(kept, places_by_name(features.class_names))
        return _prediction(
            _last(self._stages[self._split + 1 :], scores, _Batch(features, without_text(features))), features
        )

    def steps(self, features: Features, conditioning: Conditioning) -> Iterator[Scores]:
        """Yield the scores of a batch after each stage; two-phase parts take its classes as their scopes."""
        scores, batch = Scores(), _Batch(features, conditioning)
        for stage in self._stages:
            scores = stage.run(scores, batch)
            yield scores


def _last(stages: Sequence[_Stage], scores: Scores, batch: _Batch) -> Scores:
    for stage in stages:
        scores = stage.run(scores, batch)
    return scores


def _prediction(scores: Scores, features: Features) -> Prediction:
    if scores.map is None or scores.image_score is None:
        what = "an anomaly map" if scores.map is None else "an image score"
        raise ZsadError(
            f"the parts of this method ended without {what}, although they declare to provide one"
        )
    count, size = len(features), features.input_size
    if scores.map.shape != (count, *size) or scores.image_score.shape != (count,):
        raise ZsadError(
            f"the parts of this method ended with a map {list(scores.map.shape)} and image scores "
            f"{list(scores.image_score.shape)} instead of {[count, *size]} and {[count]}"
        )
    whole = extended(scores.map, features.cut)
    return Prediction(scores.image_score, whole, features.class_names, scores.trace, features.names)


def extended(maps: Tensor, cut: tuple[int, int]) -> Tensor:
    """Return maps [B, H, W] over what was cut, too, where they repeat their last row and column.

    Args:
        maps: Over what the tower saw.
        cut: Rows at the bottom and columns at the right that it did not see.
    """
    bottom, right = cut
    return F.pad(maps[:, None], (0, right, 0, bottom), mode="replicate")[:, 0] if any(cut) else maps


def check_finite(prediction: Prediction, recipe: ResolvedRecipe) -> None:
    """Check that every score and every pixel of every map is a number: the one place where that is done.

    Raises:
        ZsadError: One is not; names the method and the image.
    """
    finite = prediction.score.isfinite() & prediction.anomaly_map.flatten(1).isfinite().all(1)
    if bool(finite.all()):  # one look at the device per batch
        return
    place = int(finite.logical_not().nonzero()[0])
    name = prediction.names[place] if prediction.names else f"image {place + 1}"
    mend = "" if recipe.profile.dtype in ("float32", "float64") else "; try --dtype float32"
    raise ZsadError(f"method '{recipe.method}' gave a score that is no number for {name}{mend}")
