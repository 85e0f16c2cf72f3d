"""Gaussian smoothing of anomaly maps."""

from __future__ import annotations

import torch
from torch import Tensor


def gaussian_blur(maps: Tensor, sigma: float, truncate: float = 4.0) -> Tensor:
    """Blur every map as ``scipy.ndimage.gaussian_filter(map, sigma, truncate=truncate)`` does.

    The border is scipy's "reflect" (half-sample symmetric: d c b a | a b c d), reflected as often as needed
    where a map is smaller than the kernel. torch's padding mode of the same name leaves out the edge pixel.

    The separable filter is applied as one banded matrix per axis. That is faster than a convolution of a
    single channel, and on CUDA it keeps float32, while convolutions use TF32 there by default.

    Args:
        maps: [B, H, W], floating.
        sigma: Standard deviation in pixels; 0 returns the maps as they are.
        truncate: Radius of the kernel in standard deviations.

    Returns:
        [B, H, W] in the dtype and on the device of ``maps``.

    Raises:
        ValueError: Negative ``sigma``, or ``maps`` of another number of axes.
    """
    if maps.ndim != 3:
        raise ValueError(f"maps must be [B, H, W], not {list(maps.shape)}")
    if sigma < 0:
        raise ValueError(f"sigma must not be negative: {sigma}")
    radius = int(truncate * sigma + 0.5)
    if radius == 0 or maps.numel() == 0:
        return maps
    # Half precision would round the kernel to three digits.
    work = maps if maps.dtype == torch.float64 else maps.float()
    rows = _blur_matrix(maps.shape[1], sigma, radius).to(work)
    columns = _blur_matrix(maps.shape[2], sigma, radius).to(work)
    return (rows @ work @ columns.T).to(maps.dtype)


def _blur_matrix(size: int, sigma: float, radius: int) -> Tensor:
    """Return the matrix that blurs a line of ``size`` pixels: [size, size] float64 on the CPU."""
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float64)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel /= kernel.sum()
    # The reflected line repeats with period 2 * size; its second half runs backwards.
    position = torch.arange(-radius, size + radius) % (2 * size)
    source = torch.where(position < size, position, 2 * size - 1 - position)
    matrix = torch.zeros(size, size, dtype=torch.float64)
    return matrix.scatter_add_(1, source.unfold(0, len(kernel), 1), kernel.expand(size, -1))
