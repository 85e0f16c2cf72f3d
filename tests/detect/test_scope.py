from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from zsad.detect.scope import Scope
from zsad.detect.text_side import without_text
from zsad.errors import ZsadError
from zsad.values import Conditioning, Features, Grid, Prediction, Scores, ScoreSet, TokenSet

SIDE = 4


def features_of(values: Sequence[float], names: Sequence[str]) -> Features:
    tokens = torch.tensor(values)[:, None, None].expand(-1, SIDE * SIDE, 1)
    entry = TokenSet("t", tokens, Grid(SIDE, SIDE), "joint", 1)
    return Features((entry,), tokens[:, 0], tuple(names), (SIDE, SIDE), {"twice": 2 * tokens[:, 0]})


def add(scope: Scope, features: Features) -> Prediction | None:
    return scope.add(features, without_text(features))


def map_of(values: Tensor) -> Tensor:
    return values[:, None, None].expand(-1, SIDE, SIDE)


class Direct:
    """A scorer of one phase: the token's value."""

    def __call__(self, features: Features, conditioning: Conditioning) -> Scores:
        value = features.token_sets[0].tokens[:, 0, 0]
        return Scores(map=map_of(value)).with_image_score(value, "direct")


class Mean:
    """A scorer of two phases: the token's value less the scope's mean."""

    def collect(self, features: Features, conditioning: Conditioning) -> Tensor:
        return features.token_sets[0].tokens[:, 0, 0]

    def finalize(self, scope: Sequence[Tensor]) -> Scores:
        value = torch.cat(list(scope))
        value = value - value.mean()
        sets = (ScoreSet("t", map_of(value)[:, None], "anomaly"),)
        return Scores(sets, map_of(value)).with_image_score(value, "mean")


class Rank:
    """A post-processor of two phases: the image's place among its scope's."""

    def collect(self, scores: Scores, features: Features) -> tuple[Scores, Tensor]:
        return scores, features.image_feature[:, 0]

    def finalize(self, scope: Sequence[tuple[Scores, Tensor]]) -> Scores:
        score = torch.cat([value for _, value in scope]).argsort().argsort().float()
        maps = torch.cat([scores.required_map for scores, _ in scope])
        return Scores(map=maps).with_image_score(score, "rank")


class Double:
    """A post-processor of one phase."""

    def __call__(self, scores: Scores, features: Features) -> Scores:
        return scores.with_image_score(2 * scores.required_image_score, "double")


def test_one_phase_answers_at_once() -> None:
    scope = Scope(Direct(), [Double()])
    prediction = add(scope, features_of([1, 2], "ab"))
    assert not scope.waits and prediction is not None
    assert prediction.score.tolist() == [2, 4]
    assert (prediction.class_names, prediction.trace) == (("a", "b"), ("direct", "double"))
    assert scope.finish() is None


@pytest.mark.parametrize("batches", [[(0, 6)], [(0, 1), (1, 2), (2, 6)], [(0, 4), (4, 6)]])
@pytest.mark.parametrize(
    ("scorer", "steps", "expected"),
    [
        (Mean(), [], [-2, -20, 0, 2, 20, 0]),
        (Mean(), [Rank(), Double()], [0, 0, 2, 4, 4, 2]),
        (Direct(), [Double(), Rank()], [0, 0, 1, 2, 2, 1]),
    ],
)
def test_a_scope_is_a_class_however_its_images_come(
    batches: list[tuple[int, int]], scorer: object, steps: list[object], expected: list[float]
) -> None:
    values, names = [1.0, 10.0, 3.0, 5.0, 50.0, 30.0], "abaabb"
    scope = Scope(scorer, steps)  # type: ignore[arg-type]
    for low, high in batches:
        assert add(scope, features_of(values[low:high], names[low:high])) is None
    prediction = scope.finish()
    assert prediction is not None
    assert prediction.score.tolist() == expected
    assert prediction.class_names == tuple(names)
    assert torch.equal(prediction.anomaly_map[:, 0, 0].sign(), torch.tensor(
        [-1.0, -1, 0, 1, 1, 0] if isinstance(scorer, Mean) else [1.0] * 6))  # fmt: skip


def test_a_finished_scope_starts_anew() -> None:
    scope = Scope(Mean(), [])
    for values in ([1.0, 3.0], [10.0, 30.0, 50.0]):
        add(scope, features_of(values, "a" * len(values)))
        prediction = scope.finish()
        assert prediction is not None and len(prediction) == len(values)
        assert prediction.score.sum() == 0
    assert scope.finish() is None


def test_steps_yield_after_every_part() -> None:
    features = features_of([1.0, 9.0, 5.0], "aba")
    scores = list(Scope(Mean(), [Rank(), Double()]).steps(features, without_text(features)))
    assert [entry.image_score.tolist() for entry in scores if entry.image_score is not None] == [
        [-2, 0, 2], [0, 0, 1], [0, 0, 2]
    ]  # fmt: skip


class NoScore:
    def __call__(self, features: Features, conditioning: Conditioning) -> Scores:
        return Scores(map=torch.zeros(len(features), SIDE, SIDE))


class SmallMap:
    def __call__(self, scores: Scores, features: Features) -> Scores:
        return Scores(map=torch.zeros(len(features), 2, 2), image_score=torch.zeros(len(features)))


def test_parts_that_break_their_word_are_named() -> None:
    with pytest.raises(ZsadError, match="without an image score"):
        add(Scope(NoScore(), []), features_of([1], "a"))
    with pytest.raises(ZsadError, match=r"a map \[1, 2, 2\] .* instead of \[1, 4, 4\]"):
        add(Scope(NoScore(), [SmallMap()]), features_of([1], "a"))
