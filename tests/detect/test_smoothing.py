from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from zsad.detect.smoothing import gaussian_blur


def by_scipy(maps: torch.Tensor, sigma: float, truncate: float = 4.0) -> torch.Tensor:
    return torch.from_numpy(np.stack([gaussian_filter(m, sigma, truncate=truncate) for m in maps.numpy()]))


@given(
    batch=st.integers(1, 3),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    sigma=st.floats(0.0, 6.0),
    truncate=st.floats(1.0, 5.0),
    seed=st.integers(0, 2**31),
)
def test_equals_scipy_at_any_size(
    batch: int, height: int, width: int, sigma: float, truncate: float, seed: int
) -> None:
    maps = torch.from_numpy(np.random.default_rng(seed).normal(size=(batch, height, width)))
    torch.testing.assert_close(
        gaussian_blur(maps, sigma, truncate), by_scipy(maps, sigma, truncate), rtol=0, atol=1e-13
    )


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (1, 50), (15, 16)])
def test_maps_smaller_than_the_kernel(size: tuple[int, int]) -> None:
    maps = torch.rand(2, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(gaussian_blur(maps, 4.0), by_scipy(maps, 4.0), rtol=0, atol=1e-14)


def test_float32_map_of_usual_size() -> None:
    maps = torch.rand(4, 168, 240, generator=torch.Generator().manual_seed(1))
    blurred = gaussian_blur(maps, 4.0)
    assert blurred.dtype == torch.float32
    torch.testing.assert_close(blurred, by_scipy(maps, 4.0), rtol=0, atol=5e-7)


def test_images_do_not_see_each_other() -> None:
    maps = torch.zeros(3, 20, 20)
    maps[1] = 1.0
    blurred = gaussian_blur(maps, 4.0)
    assert blurred[0].abs().max() == 0 and blurred[2].abs().max() == 0
    torch.testing.assert_close(blurred[1], torch.ones(20, 20))


def test_half_precision_is_blurred_in_float32() -> None:
    maps = torch.rand(2, 30, 30, generator=torch.Generator().manual_seed(2)).to(torch.bfloat16)
    blurred = gaussian_blur(maps, 2.0)
    assert blurred.dtype == torch.bfloat16
    assert torch.equal(blurred, gaussian_blur(maps.float(), 2.0).to(torch.bfloat16))


def test_sigma_zero_changes_nothing_and_gradients_flow() -> None:
    maps = torch.rand(1, 8, 9, requires_grad=True)
    assert torch.equal(gaussian_blur(maps, 0.0), maps)
    (gradient,) = torch.autograd.grad(gaussian_blur(maps, 1.0).sum(), maps)
    torch.testing.assert_close(gradient.sum(), torch.tensor(72.0))  # a blur keeps the total


def test_refuses_what_it_cannot_blur() -> None:
    with pytest.raises(ValueError, match="negative"):
        gaussian_blur(torch.zeros(1, 4, 4), -1.0)
    with pytest.raises(ValueError, match=r"\[B, H, W\]"):
        gaussian_blur(torch.zeros(4, 4), 1.0)
