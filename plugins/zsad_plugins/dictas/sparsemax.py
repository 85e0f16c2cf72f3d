"""Sparsemax: the point of the probability simplex nearest to a vector of similarities."""

from __future__ import annotations

import torch
from torch import Tensor


def sparsemax(scores: Tensor) -> Tensor:
    """Return the Euclidean projection of every row onto the simplex (Martins and Astudillo, ICML 2016).

    w_u = max(z_u - tau, 0), with tau such that the row sums to 1: where the n largest entries stay above it,
    tau = (their sum - 1) / n.

    Args:
        scores: [..., n].

    Returns:
        [..., n], not negative, most of it exactly 0; every row sums to 1.
    """
    z = scores - scores.amax(-1, keepdim=True)
    largest, _ = z.sort(-1, descending=True)
    sums = largest.cumsum(-1)
    place = torch.arange(1, z.shape[-1] + 1, dtype=z.dtype, device=z.device)
    count = (1 + place * largest > sums).sum(-1, keepdim=True)
    tau = (sums.gather(-1, count - 1) - 1) / count
    return (z - tau).clamp_min(0)
