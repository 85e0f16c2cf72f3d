"""Sparsemax against a projection onto the simplex that is found by another way."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis.extra.numpy import arrays
from scipy.optimize import brentq, minimize

from zsad_plugins.dictas.sparsemax import sparsemax

ROWS = arrays(np.float64, st.integers(1, 12), elements=st.floats(-5, 5))


def projected(row: np.ndarray) -> np.ndarray:
    """Find the threshold by its root instead of by sorting."""

    def excess(tau: float) -> float:
        return float(np.maximum(row - tau, 0).sum() - 1)

    return np.maximum(row - brentq(excess, row.min() - 1, row.max(), xtol=1e-14), 0)


@given(ROWS)
def test_it_is_the_nearest_point_of_the_simplex(row: np.ndarray) -> None:
    found = sparsemax(torch.from_numpy(row)).numpy()
    assert found.sum() == pytest.approx(1, abs=1e-12) and (found >= 0).all()
    np.testing.assert_allclose(found, projected(row), atol=1e-10)


def test_no_other_point_of_the_simplex_is_nearer() -> None:
    rng = np.random.default_rng(0)
    row = rng.normal(size=6)
    sum_is_one = {"type": "eq", "fun": lambda w: w.sum() - 1}
    solved = minimize(
        lambda w: ((w - row) ** 2).sum(),
        np.full(6, 1 / 6),
        bounds=[(0, 1)] * 6,
        constraints=sum_is_one,
        options={"ftol": 1e-14},
    )
    np.testing.assert_allclose(sparsemax(torch.from_numpy(row)).numpy(), solved.x, atol=1e-5)


def test_rows_are_projected_one_by_one_and_most_entries_are_exactly_zero() -> None:
    scores = torch.randn(3, 4, 500, generator=torch.Generator().manual_seed(0)) * 3
    found = sparsemax(scores)
    assert torch.allclose(found.sum(-1), torch.ones(3, 4), atol=1e-5)
    assert ((found == 0).float().mean(-1) > 0.9).all()
    assert torch.equal(found[1, 2], sparsemax(scores[1, 2]))
    shifted = sparsemax(scores + 7)
    assert torch.allclose(shifted, found, atol=1e-5)


def test_a_gap_of_one_leaves_a_single_entry_and_equal_ones_share() -> None:
    assert sparsemax(torch.tensor([0.0, 2.0, 1.0])).tolist() == [0, 1, 0]
    assert sparsemax(torch.zeros(4)).tolist() == [0.25] * 4
