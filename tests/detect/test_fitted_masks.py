"""Masks by a classifier of one image: nearer to the truth than a threshold, and only where a verdict asks."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage

from zsad.detect import fitted_masks
from zsad.detect.fitted_masks import _read, _ridge, fitted_mask, sure_pixels
from zsad.errors import InputError

GRID, SIDE = 32, 128


def planted(seed: int) -> tuple[np.ndarray, np.ndarray, torch.Tensor]:
    """Return the truth, a map of it that is blurred and shifted, and features that differ inside."""
    rng = np.random.default_rng(seed)
    rows, columns = np.indices((GRID, GRID))
    truth = np.hypot(rows - 14, columns - 17) < 5
    directions = rng.normal(size=(2, 64))
    tokens = np.where(truth[..., None], *directions) + 0.6 * rng.normal(size=(GRID, GRID, 64))
    whole = np.kron(truth, np.ones((SIDE // GRID,) * 2)) > 0
    values = np.roll(ndimage.gaussian_filter(whole.astype(float), 14), (6, -5), (0, 1))
    return whole, values.astype(np.float32), torch.from_numpy(tokens).float().permute(2, 0, 1)


def f1(mask: np.ndarray, truth: np.ndarray) -> float:
    return float(2 * (mask & truth).sum() / (mask.sum() + truth.sum()))


@pytest.mark.parametrize("seed", range(5))
def test_it_is_nearer_to_the_truth_than_the_best_threshold(seed) -> None:
    truth, values, features = planted(seed)
    best = max(f1(values >= level, truth) for level in np.unique(values)[::50])
    begun = time.perf_counter()
    mask = fitted_mask(values, features, anomalous=True)
    assert time.perf_counter() - begun < 1
    assert f1(mask, truth) > best + 0.05
    assert np.array_equal(mask, fitted_mask(values, features, anomalous=True))


def test_a_normal_image_and_a_flat_map_have_no_mask() -> None:
    _, values, features = planted(0)
    assert not fitted_mask(values, features, anomalous=False).any()
    assert not fitted_mask(np.full_like(values, 0.4), features, anomalous=True).any()


def test_where_nothing_is_left_for_the_other_set_the_quantile_decides() -> None:
    values = np.array([[0.0, 1.0], [0.0, 0.0]])
    mask = fitted_mask(values, torch.randn(3, 2, 2), anomalous=True)  # the peak's neighbours are everything
    assert np.array_equal(mask, values == 1)


def test_sure_pixels_are_local_maxima_and_their_neighbours() -> None:
    values = np.zeros((9, 9))
    values[2, 2], values[2, 3], values[6, 6] = 5, 4, 3
    found = sure_pixels(values, 3.5)
    expected = np.zeros((9, 9), bool)
    expected[1:4, 1:4] = True
    assert np.array_equal(found, expected)


def test_features_are_read_as_enlarging_would_give_them() -> None:
    features = torch.randn(5, 7, 6, dtype=torch.float64)
    whole = F.interpolate(features[None], (21, 30), mode="bilinear", align_corners=False)[0]
    places = np.array([[0, 0], [20, 29], [10, 3], [7, 15]])
    read = _read(features, places, (21, 30))
    torch.testing.assert_close(read, whole[:, places[:, 0], places[:, 1]].T)


def test_the_classifier_is_the_least_squares_solution() -> None:
    torch.manual_seed(0)
    rows = torch.randn(40, 3, dtype=torch.float64)
    labels = torch.where(torch.arange(40) < 10, 1.0, -1.0).double()
    weights, bias = _ridge(rows, labels, 0.3)
    w, b = weights.clone().requires_grad_(), bias.clone().requires_grad_()
    error = (rows @ w + b - labels) ** 2
    loss = (error[:10].mean() + error[10:].mean()) / 2 + 0.3 * (w @ w)
    for gradient in torch.autograd.grad(loss, (w, b)):
        assert gradient.abs().max() < 1e-12


def test_another_seed_draws_other_pixels() -> None:
    left = np.ones((50, 50), bool)
    first, again, other = (fitted_masks._drawn(left, 20, seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert len(np.unique(first, axis=0)) == 20 and len(fitted_masks._drawn(left, 9999, 0)) == 2500


@pytest.mark.parametrize(
    "options", [{"quantile": 1.0}, {"quantile": 0.0}, {"nominal": 0}, {"penalty": 0.0}, {"penalty": np.inf}]
)
def test_wrong_numbers_are_refused(options) -> None:
    with pytest.raises(InputError, match="a mask by a classifier takes"):
        fitted_mask(np.eye(4), torch.zeros(2, 2, 2), anomalous=True, **options)


def test_what_is_not_finite_is_refused() -> None:
    with pytest.raises(InputError, match="finite"):
        fitted_mask(np.array([[np.nan, 0.0]]), torch.zeros(2, 1, 1), anomalous=True)
    with pytest.raises(InputError, match="finite"):
        fitted_mask(np.eye(4), torch.full((2, 2, 2), torch.inf), anomalous=True)
