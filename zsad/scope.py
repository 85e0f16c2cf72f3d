"""Scoring a scope (a class) batch by batch, with parts that answer at once or only at its end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from zsad.errors import ZsadError
from zsad.parts import PostProcessor, Scorer, TwoPhasePostProcessor, TwoPhaseScorer
from zsad.values import Conditioning, Features, Prediction, Scores


@dataclass(frozen=True)
class _Batch:
    """What the stages of a batch may read."""

    features: Features
    conditioning: Conditioning | None


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
        return hasattr(self.part, "finalize")

    def _inputs(self, scores: Scores, batch: _Batch) -> tuple[object, object]:
        if self.is_scorer:
            return batch.features, batch.conditioning
        return scores, batch.features

    def run(self, scores: Scores, batch: _Batch) -> Scores:
        """Answer for a batch; a two-phase part takes the batch as its scope."""
        if self.two_phase:
            return self.finalize([self.collect(scores, batch)])
        result: Scores = self.part(*self._inputs(scores, batch))
        return result

    def collect(self, scores: Scores, batch: _Batch) -> object:
        kept: object = self.part.collect(*self._inputs(scores, batch))
        return kept

    def finalize(self, scope: Sequence[object]) -> Scores:
        result: Scores = self.part.finalize(scope)
        return result


class Scope:
    """The images over which a method's two-phase parts look, for example the test images of a class.

    Methods without such parts answer every batch at once; the others answer in :meth:`finish`.
    """

    def __init__(
        self,
        scorer: Scorer | TwoPhaseScorer,
        post_processors: Sequence[PostProcessor | TwoPhasePostProcessor],
    ) -> None:
        self._stages = [_Stage(scorer, True), *(_Stage(part, False) for part in post_processors)]
        waiting = [place for place, stage in enumerate(self._stages) if stage.two_phase]
        self._split = waiting[0] if waiting else len(self._stages)
        self._collected: list[object] = []
        self._seen: list[Features] = []

    @property
    def waits(self) -> bool:
        """Whether answers come only at the end of the scope."""
        return self._split < len(self._stages)

    def add(self, features: Features, conditioning: Conditioning | None) -> Prediction | None:
        """Take a batch; return its prediction, or None where the scope has to be complete first."""
        batch = _Batch(features, conditioning)
        scores = _last(self._stages[: self._split], Scores(), batch)
        if not self.waits:
            return _prediction(scores, features)
        self._collected.append(self._stages[self._split].collect(scores, batch))
        # Token sets of a whole scope would not fit memory; later stages see the image features.
        self._seen.append(replace(features, token_sets=(), auxiliary={}))
        return None

    def finish(self) -> Prediction | None:
        """Return the predictions of all collected images, in order, or None where none waited."""
        if not self._collected:
            return None
        collected, seen = self._collected, self._seen
        self._collected, self._seen = [], []
        features = Features(
            (),
            torch.cat([entry.image_feature for entry in seen]),
            tuple(name for entry in seen for name in entry.class_names),
            seen[0].image_size,
        )
        scores = self._stages[self._split].finalize(collected)
        return _prediction(_last(self._stages[self._split + 1 :], scores, _Batch(features, None)), features)

    def steps(self, features: Features, conditioning: Conditioning | None) -> Iterator[Scores]:
        """Yield the scores of a batch after each stage; two-phase parts take it as their scope."""
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
    return Prediction(scores.image_score, scores.map, features.class_names, scores.trace)
