from __future__ import annotations

from functools import reduce
from operator import add
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.ndimage import correlate1d
from sklearn.decomposition import PCA

from zsad.errors import InputError
from zsad_plugins.subspace_ad.memory import SubspaceMemory, principal_axes
from zsad_plugins.subspace_ad.moments import Moments
from zsad_plugins.subspace_ad.options import BlurOptions, SubspaceMemoryOptions
from zsad_plugins.subspace_ad.post_processors import Blur, cut_gaussian
from zsad_plugins.subspace_ad.residual import residual


def vectors(count: int, width: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, width, generator=generator) * torch.linspace(3, 0.1, width) + 100


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(0, 99))
def test_moments_of_batches_are_those_of_all_vectors(counts: list[int], seed: int) -> None:
    batches = [vectors(count, 4, seed + number) for number, count in enumerate(counts)]
    moments = reduce(add, map(Moments.of, batches))
    whole = torch.cat(batches).double().numpy()
    assert moments.count == len(whole)
    assert np.allclose(moments.mean.numpy(), whole.mean(0), rtol=1e-12)
    centred = whole - whole.mean(0)
    assert np.allclose(moments.scatter.numpy(), centred.T @ centred, atol=1e-9)
    point = np.arange(4.0)
    apart = whole - point
    assert np.allclose(moments.scatter_about(torch.from_numpy(point)).numpy(), apart.T @ apart, rtol=1e-12)


@pytest.mark.parametrize("explained", [0.5, 0.9, 0.99])
def test_axes_are_those_of_scikit_learn(explained: float) -> None:
    values = vectors(80, 9, 0)
    moments = Moments.of(values)
    axes = principal_axes(moments.scatter / (moments.count - 1), explained).numpy()
    expected = PCA(explained, svd_solver="full").fit(values.double().numpy())
    assert axes.shape[1] == expected.n_components_
    assert np.allclose(axes @ axes.T, expected.components_.T @ expected.components_, atol=1e-9)


def test_all_of_the_variance_leaves_nothing_and_less_leaves_the_other_eigenvalues() -> None:
    values = vectors(60, 6, 1).double()
    moments = Moments.of(values)
    for explained in (1.0, 0.9):
        axes = principal_axes(moments.scatter / (moments.count - 1), explained)
        left = torch.linalg.eigvalsh(moments.scatter).flip(0)[axes.shape[1] :].sum()
        assert torch.allclose(residual(values, moments.mean, axes).sum(), left, atol=1e-9)
    assert axes.shape[1] < 6


def test_a_move_along_the_subspace_is_free_and_one_away_from_it_counts_by_its_square() -> None:
    moments = Moments.of(vectors(60, 6, 1).double())
    axes = principal_axes(moments.scatter, 0.8)
    away = torch.linalg.svd(axes).U[:, -1]
    along = moments.mean + 7 * axes[:, 0]
    assert float(residual(along, moments.mean, axes)) == pytest.approx(0, abs=1e-20)
    assert float(residual(along + 3 * away, moments.mean, axes)) == pytest.approx(9)


def test_patches_that_are_all_alike_span_nothing() -> None:
    with pytest.raises(InputError, match="all patches of the reference images are alike"):
        principal_axes(Moments.of(torch.full((5, 3), 2.0)).scatter, 0.99)


@given(st.integers(2, 20), st.integers(2, 20), st.sampled_from([1, 3]), st.floats(0.1, 50))
def test_the_blur_is_that_of_a_cut_gaussian(height: int, width: int, size: int, sigma: float) -> None:
    maps = torch.rand(2, height, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    blur = Blur(BlurOptions(sigma=sigma, size=size), context=None)  # type: ignore[arg-type]
    kernel = np.exp(-((np.arange(size) - size // 2) ** 2) / (2 * sigma**2))
    kernel /= kernel.sum()
    expected = maps.numpy()
    for axis in (1, 2):
        expected = correlate1d(expected, kernel, axis, mode="mirror")
    assert np.allclose(cut_gaussian(maps, blur.kernel).numpy(), expected, atol=1e-12)


def test_a_kernel_without_a_centre_is_refused() -> None:
    with pytest.raises(ValidationError, match="its size is odd, not 4"):
        BlurOptions(size=4)


def store(seed: int = 0, **options: Any) -> SubspaceMemory:
    context = SimpleNamespace(tap_widths=(8, 8), seed=seed)
    return SubspaceMemory(SubspaceMemoryOptions(**options), context)  # type: ignore[arg-type]


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 256, (30, 40, 3), dtype=np.uint8)


def test_views_are_the_image_and_turned_copies_with_black_corners() -> None:
    views = store().views(picture(0))
    assert len(views) == 31
    assert np.array_equal(views[0], picture(0))
    assert all(view.shape == (30, 40, 3) and view.dtype == np.uint8 for view in views)
    # The image itself has no black pixel, and angles near a half turn bring in none.
    assert sum((view == 0).all(-1).any() for view in views[1:]) > 20
    assert len({view.tobytes() for view in views}) == 31


def test_the_angles_hang_on_the_image_and_the_seed_alone() -> None:
    def drawn(image: int, seed: int) -> bytes:
        one = store(seed, views=3)
        one.views(picture(5))  # what was drawn before changes nothing
        return b"".join(np.ascontiguousarray(view).tobytes() for view in one.views(picture(image)))

    assert drawn(0, 0) == drawn(0, 0)
    assert drawn(0, 0) != drawn(0, 1)
    assert len(store(views=1).views(picture(0))) == 1
