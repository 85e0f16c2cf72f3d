"""The functions agree with scikit-learn and with a brute force, ties and corner cases included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from tests.metrics import reference
from tests.metrics.cases import Array, scored_items, scored_maps
from zsad import metrics
from zsad.errors import ZsadError
from zsad.metrics import UndefinedMetricError

EXACT = 1e-12

RANKING = (metrics.auroc, metrics.average_precision, metrics.f1_max)
OVERLAP = (metrics.aupro, metrics.aupro_legacy200)


def sklearn_f1_max(labels: Array, scores: Array) -> float:
    precision, recall, _ = precision_recall_curve(labels, scores)
    total = precision + recall
    return float((2 * precision * recall / np.where(total > 0, total, 1)).max())


def assert_agrees_with_sklearn(scores: Array, labels: Array) -> None:
    plain = scores.astype(np.float64)
    assert metrics.auroc(scores, labels) == pytest.approx(roc_auc_score(labels, plain), abs=EXACT)
    expected = average_precision_score(labels, plain)
    assert metrics.average_precision(scores, labels) == pytest.approx(expected, abs=EXACT)
    assert metrics.f1_max(scores, labels) == pytest.approx(sklearn_f1_max(labels, plain), abs=EXACT)


@settings(max_examples=400)
@given(scored_items())
def test_ranking_metrics_are_those_of_sklearn(case: tuple[Array, Array]) -> None:
    assert_agrees_with_sklearn(*case)


@settings(max_examples=300)
@given(scored_maps(), st.sampled_from((0.05, 0.3, 1.0, 1 / 3)))
def test_aupro_is_that_of_every_threshold(case: tuple[Array, Array], limit: float) -> None:
    maps, masks = case
    expected = reference.aupro(maps.astype(np.float64), masks, limit)
    assert metrics.aupro(maps, masks, limit) == pytest.approx(expected, abs=EXACT)


@settings(max_examples=60)
@given(scored_maps())
def test_aupro_legacy200_is_that_of_the_routine_of_the_papers(case: tuple[Array, Array]) -> None:
    maps, masks = case
    maps = maps.astype(np.float32) if maps.dtype == np.float16 else maps
    expected = reference.aupro_legacy200(maps, masks)
    if expected is None:
        with pytest.raises(UndefinedMetricError):
            metrics.aupro_legacy200(maps, masks)
    else:
        assert metrics.aupro_legacy200(maps, masks) == pytest.approx(expected, abs=EXACT)


@pytest.mark.parametrize("seed", range(3))
def test_many_distinct_scores(seed: int) -> None:
    generator = np.random.default_rng(seed)
    labels = generator.random(5000) < 0.1
    scores = generator.normal(size=5000).astype(np.float32) + labels
    assert_agrees_with_sklearn(scores, labels)
    maps, masks = scores.reshape(2, 50, 50), labels.reshape(2, 50, 50)
    expected = reference.aupro(maps[:, ::2, ::2], masks[:, ::2, ::2], 0.3)
    assert metrics.aupro(maps[:, ::2, ::2], masks[:, ::2, ::2]) == pytest.approx(expected, abs=EXACT)


def test_constant_map() -> None:
    maps, masks = np.full((2, 4, 4), 0.7, np.float32), np.zeros((2, 4, 4), np.bool_)
    masks[0, 1, 1] = True
    assert metrics.auroc(maps, masks) == 0.5
    # From (0, 0) straight to (1, 1): half the limit.
    assert metrics.aupro(maps, masks) == pytest.approx(0.15, abs=EXACT)
    with pytest.raises(UndefinedMetricError, match=r"^all scores are equal$"):
        metrics.aupro_legacy200(maps, masks)


def test_first_false_positives_jump_over_the_limit() -> None:
    maps, masks = np.zeros((1, 2, 5), np.float32), np.zeros((1, 2, 5), np.bool_)
    masks[0, 0, 0] = True
    maps[0, 0, 1:] = 1.0  # 4 of 9 normal pixels lie above the defect
    assert metrics.aupro(maps, masks) == 0.0
    maps[0, 0, 0] = 1.0  # now they tie with it
    assert metrics.aupro(maps, masks) == pytest.approx(0.3 / (4 / 9) / 2, abs=EXACT)


def test_perfect_scores() -> None:
    masks = np.zeros((2, 3, 3), np.bool_)
    masks[1] = True
    for metric in RANKING:
        assert metric(masks * 2.5, masks) == 1.0
    assert metrics.aupro(masks * 2.5, masks) == pytest.approx(1.0, abs=EXACT)


def test_regions_touch_at_corners() -> None:
    masks = np.eye(4, dtype=np.bool_)[None]
    maps = np.zeros((1, 4, 4), np.float32)
    maps[0, 0, 0] = 1.0  # a quarter of the one region
    assert metrics.aupro(maps, masks) == pytest.approx(0.25 + 0.75 * 0.15, abs=EXACT)


def test_float64_scores_are_not_rounded() -> None:
    scores = np.array([1.0, 1.0 + 1e-15])
    assert metrics.auroc(scores, [False, True]) == 1.0
    assert metrics.auroc(scores.astype(np.float32), [False, True]) == 0.5


def test_negative_zero_is_zero() -> None:
    assert metrics.auroc(np.array([0.0, -0.0], np.float32), [False, True]) == 0.5
    assert metrics.auroc(np.array([-0.0, 0.0], np.float32), [False, True]) == 0.5


@pytest.mark.parametrize("metric", RANKING)
@pytest.mark.parametrize("unit", ["images", "pixels"])
@pytest.mark.parametrize(("label", "missing"), [(True, "normal"), (False, "anomalous")])
def test_one_class_is_undefined(metric: Callable[..., float], unit: str, label: bool, missing: str) -> None:
    with pytest.raises(UndefinedMetricError) as caught:
        metric([0.5, 0.7], [label, label], unit=unit)
    assert str(caught.value) == caught.value.reason == f"no {missing} {unit}"
    assert isinstance(caught.value, ZsadError)


@pytest.mark.parametrize("metric", OVERLAP)
@pytest.mark.parametrize(("label", "missing"), [(True, "normal"), (False, "anomalous")])
def test_maps_of_one_kind_are_undefined(metric: Callable[..., float], label: bool, missing: str) -> None:
    with pytest.raises(UndefinedMetricError, match=rf"^no {missing} pixels$"):
        metric(np.ones((2, 3, 3)), np.full((2, 3, 3), label))


@pytest.mark.parametrize("metric", RANKING)
def test_no_items_are_undefined(metric: Callable[..., float]) -> None:
    with pytest.raises(UndefinedMetricError):
        metric(np.empty(0), np.empty(0, np.bool_))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_no_numbers_are_refused(bad: float) -> None:
    for metric in RANKING:
        with pytest.raises(ZsadError, match=r"item 1 \(counted from 0\).*--dtype float32"):
            metric([0.5, bad, 0.7], [True, False, True])
    maps = np.zeros((3, 2, 2))
    maps[2, 0, 1] = bad
    for overlap in OVERLAP:
        with pytest.raises(ZsadError, match="item 2"):
            overlap(maps, maps > 0)


@pytest.mark.parametrize("limit", [0.0, -0.1, 1.1, np.nan])
def test_limit_has_to_be_a_rate(limit: float) -> None:
    with pytest.raises(ValueError, match="limit"):
        metrics.aupro(np.arange(4.0).reshape(1, 2, 2), np.eye(2, dtype=np.bool_)[None], limit)


@pytest.mark.parametrize(
    ("scores", "labels", "error"),
    [
        ([0.5, 0.7], [True], ValueError),
        ([0.5, 0.7], [0.2, 0.9], TypeError),
        (["a", "b"], [True, False], TypeError),
    ],
)
def test_wrong_arrays_are_refused(scores: Any, labels: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        metrics.auroc(scores, labels)


def test_whole_numbers_are_labels() -> None:
    assert metrics.auroc([1, 2, 3], np.array([0, 0, 255], np.uint8)) == 1.0
