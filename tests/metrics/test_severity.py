"""C-index and tau-b against loops over all pairs, scipy, and AUROC."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau

from zsad import metrics
from zsad.errors import ZsadError
from zsad.metrics import SeverityState, UndefinedMetricError
from zsad.metrics.severity import c_index, c_index_anomalous, kendall, kendall_anomalous

FIGURES = tuple(build() for build in (c_index, c_index_anomalous, kendall, kendall_anomalous))

SCORES = st.sampled_from([-1.5, 0.0, 0.1, 0.25, 3.0]) | st.floats(-2, 2, width=32)
ITEMS = st.lists(st.tuples(SCORES, st.sampled_from([0, 0, 1, 2, 2.5, 3])), min_size=1, max_size=40)


def state_of(scores, levels) -> SeverityState:
    state = SeverityState()
    state.update(np.float32(scores), levels, [""] * len(scores))
    return state


def by_pairs(scores, levels) -> float:
    won = total = 0.0
    for i, j in itertools.permutations(range(len(scores)), 2):
        if levels[i] > levels[j]:
            total += 1
            won += (scores[i] > scores[j]) + 0.5 * (scores[i] == scores[j])
    return won / total


@settings(max_examples=200)
@given(ITEMS)
def test_against_a_loop_over_pairs_and_scipy(items) -> None:
    scores, levels = np.float32([item[0] for item in items]), np.array([item[1] for item in items], float)
    state = state_of(scores, levels)
    for anomalous in (False, True):
        kept = levels > 0 if anomalous else np.ones(len(levels), bool)
        index, tau = (FIGURES[1], FIGURES[3]) if anomalous else (FIGURES[0], FIGURES[2])
        own, mine = levels[kept], scores[kept]
        if len(set(own)) < 2:
            for figure in (index, tau):
                with pytest.raises(UndefinedMetricError, match="no two severity levels"):
                    figure.compute(state)
            continue
        assert index.compute(state) == pytest.approx(by_pairs(mine, own), abs=1e-12)
        if len(set(mine)) < 2:
            with pytest.raises(UndefinedMetricError, match="all scores are equal"):
                tau.compute(state)
            continue
        expected = kendalltau(own, mine, variant="b").statistic
        assert tau.compute(state) == pytest.approx(expected, abs=1e-12)


@given(st.integers(0, 2**31))
def test_two_levels_are_the_auroc_bit_for_bit(seed: int) -> None:
    generator = np.random.default_rng(seed)
    labels = generator.random(60) < 0.4
    labels[:2] = True, False
    scores = np.round(generator.normal(size=60) + labels, 1).astype(np.float32)
    assert c_index().compute(state_of(scores, 2.0 * labels)) == metrics.auroc(scores, labels)
    # Among anomalous images, the lower of two levels takes the place of the normal ones.
    assert c_index_anomalous().compute(state_of(scores, 1.0 + labels)) == metrics.auroc(scores, labels)


def test_it_is_the_mean_of_the_aurocs_of_pairs_of_levels_weighted_by_their_pairs() -> None:
    generator = np.random.default_rng(0)
    levels = generator.integers(0, 4, 200).astype(float)
    scores = np.round(levels + generator.normal(size=200), 1).astype(np.float32)
    total = weight = 0.0
    for low, high in itertools.combinations(range(4), 2):
        kept = (levels == low) | (levels == high)
        pairs = (levels == low).sum() * (levels == high).sum()
        total += pairs * metrics.auroc(scores[kept], levels[kept] == high)
        weight += pairs
    assert c_index().compute(state_of(scores, levels)) == pytest.approx(total / weight, abs=1e-12)


@settings(max_examples=60)
@given(ITEMS, st.data())
def test_batches_order_and_merges_do_not_change_a_bit(items, data: st.DataObject) -> None:
    def figures(state: SeverityState) -> list[float | str]:
        found: list[float | str] = []
        for figure in FIGURES:
            try:
                found.append(figure.compute(state))
            except UndefinedMetricError as error:
                found.append(str(error))
        return found

    order = data.draw(st.permutations(items))
    cut = data.draw(st.integers(0, len(items)))
    merged = state_of([], [])
    for part in (order[cut:], order[:cut]):
        merged.merge(state_of([item[0] for item in part], [item[1] for item in part]))
    assert figures(merged) == figures(state_of([i[0] for i in items], [i[1] for i in items]))


def test_extremes_and_ceilings() -> None:
    levels = [0, 0, 0, 1, 2, 2]
    perfect, constant = state_of([1, 2, 3, 4, 5, 6], levels), state_of([7] * 6, levels)
    assert c_index().compute(perfect) == 1 and c_index().compute(constant) == 0.5
    assert c_index().compute(state_of([6, 5, 4, 3, 2, 1], levels)) == 0
    # 11 of 15 pairs differ in their level: without ties in the scores there is no more than this.
    assert kendall().compute(perfect) == pytest.approx(math.sqrt(11 / 15))
    assert kendall().compute(state_of(levels, levels)) == pytest.approx(1)


def test_wrong_input_is_refused() -> None:
    with pytest.raises(ZsadError, match="'b' are not all finite"):
        SeverityState().update([0.0, np.nan], [0, 1], ["a", "b"])
    for level in (-1, np.inf, np.nan):
        with pytest.raises(ValueError, match="from 0 on"):
            SeverityState().update([0.0], [level], ["a"])
    with pytest.raises(TypeError, match="level 'severity' cannot use a ImageState"):
        c_index().compute(metrics.ImageState())  # type: ignore[arg-type]
