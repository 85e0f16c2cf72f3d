"""The residual adapter of both towers: x + w (a |x| / |a| - x), a = LeakyReLU(W x)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zsad_plugins.aprilgan.heads import PreciseLinear


class ResidualAdapter(nn.Module):
    """Mixes a little of a learned direction into every token, at the token's own length.

    Attributes:
        linear: W, [D, D], without bias; starts by Xavier's rule.
        weight: w, share of the learned direction.
    """

    def __init__(self, width: int, weight: float) -> None:
        super().__init__()
        self.linear = xavier_linear(width, width)
        self.weight = weight

    def forward(self, x: Tensor) -> Tensor:
        """Return [..., D] for tokens [..., D], each by itself."""
        found = F.leaky_relu(self.linear(x))
        length = found.norm(dim=-1, keepdim=True).clamp_min(torch.finfo(x.dtype).tiny)
        found = found * x.norm(dim=-1, keepdim=True) / length
        mixed: Tensor = self.weight * found + (1 - self.weight) * x
        return mixed


def xavier_linear(inputs: int, outputs: int) -> PreciseLinear:
    """Return a linear layer without bias that starts by Xavier's rule."""
    layer = PreciseLinear(inputs, outputs, bias=False)
    nn.init.xavier_uniform_(layer.weight)
    return layer
