"""Mean and scatter of many vectors, a batch at a time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Moments:
    """The first two moments of a set of vectors, float64 on the CPU.

    Attributes:
        count: How many vectors.
        mean: [D].
        scatter: [D, D], the sum of (x - mean) (x - mean)^T.
    """

    count: int
    mean: Tensor
    scatter: Tensor

    @classmethod
    def of(cls, vectors: Tensor) -> Moments:
        """Return the moments of vectors [n, D]."""
        wide = vectors.cpu().double()
        mean = wide.mean(0)
        centred = wide - mean
        return cls(len(wide), mean, centred.mT @ centred)

    def __add__(self, other: Moments) -> Moments:
        """Return the moments of both sets together (Chan, Golub and LeVeque, 1979)."""
        count = self.count + other.count
        apart = other.mean - self.mean
        between = torch.outer(apart, apart) * (self.count * other.count / count)
        return Moments(
            count, self.mean + apart * (other.count / count), self.scatter + other.scatter + between
        )

    def scatter_about(self, point: Tensor) -> Tensor:
        """Return the sum of (x - point) (x - point)^T for a point [D]: [D, D]."""
        apart = self.mean - point
        return self.scatter + self.count * torch.outer(apart, apart)
