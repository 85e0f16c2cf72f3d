"""Scorers that are given what is remembered of each image's class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from zsad.detect.memories import Remembered, memory_of
from zsad.parts import Scorer, TwoPhaseScorer
from zsad.values import Conditioning, Features, Scores, join_scores


class _Remembering:
    """A scorer whose batches come apart by memory: each is asked with one, and the answers put in order."""

    def __init__(self, scorer: Scorer, memories: Mapping[str, Remembered], method: str) -> None:
        self._scorer, self._memories, self._method = scorer, memories, method

    def __call__(self, features: Features, conditioning: Conditioning) -> Scores:
        groups: dict[int, tuple[Remembered, list[int]]] = {}
        for place, noun in enumerate(features.class_names):
            found = memory_of(self._memories, noun, self._method)
            groups.setdefault(id(found), (found, []))[1].append(place)
        if len(groups) == 1:
            ((found, _),) = groups.values()
            return self._scorer(features, replace(conditioning, memory=found.buffers))
        answers = [
            self._scorer(features.select(places), replace(conditioning.select(places), memory=found.buffers))
            for found, places in groups.values()
        ]
        order = [*chain.from_iterable(places for _, places in groups.values())]
        return join_scores(answers).select(sorted(range(len(order)), key=order.__getitem__))


class _TwoPhaseRemembering:
    """A scorer that sees whole classes, which come to it one by one already."""

    def __init__(self, scorer: TwoPhaseScorer[Any], memories: Mapping[str, Remembered], method: str) -> None:
        self._scorer, self._memories, self._method = scorer, memories, method

    def collect(self, features: Features, conditioning: Conditioning) -> Any:
        found = memory_of(self._memories, features.class_names[0], self._method)
        return self._scorer.collect(features, replace(conditioning, memory=found.buffers))

    def finalize(self, scope: Sequence[Any]) -> Scores:
        return self._scorer.finalize(scope)


def remembering(
    scorer: Scorer | TwoPhaseScorer[Any], memories: Mapping[str, Remembered], method: str
) -> Scorer | TwoPhaseScorer[Any]:
    """Return a scorer that finds the memory of each image's class in the conditioning.

    Args:
        scorer: A scorer that requires ``memory``.
        memories: By class; it is looked into when the scorer is asked.
        method: Whose memories they are, for messages.
    """
    if isinstance(scorer, TwoPhaseScorer):
        return _TwoPhaseRemembering(scorer, memories, method)
    return _Remembering(scorer, memories, method)
