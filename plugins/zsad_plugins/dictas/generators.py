"""The generators of queries, keys and values: attention among tokens, and a small network over each."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from zsad_plugins.aprilgan.heads import PreciseLinear


class PreciseNorm(nn.LayerNorm):
    """A LayerNorm in the precision of what it is given."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised x [..., D]."""
        return F.layer_norm(x, self.normalized_shape, self.weight.to(x), self.bias.to(x), self.eps)


class Generator(nn.Module):
    """G(t) = W3 LN(W2 (W1 y + b1 + u) + b2), u = LN(t), y = what u attends to among u, not projected."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = PreciseNorm(width)
        self.q_proj, self.k_proj, self.v_proj = (PreciseLinear(width, width, bias=False) for _ in range(3))
        self.linear1, self.linear2 = PreciseLinear(width, width), PreciseLinear(width, width)
        self.inner_norm = PreciseNorm(width)
        self.linear3 = PreciseLinear(width, width, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return [B, n, D] for tokens [B, n, D]; those of a row attend to one another."""
        u = self.norm(tokens)
        q, k, v = (self._split(layer(u)) for layer in (self.q_proj, self.k_proj, self.v_proj))
        attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        inner = self.linear1(attended) + u
        return self.linear3(self.inner_norm(self.linear2(inner)))  # type: ignore[no-any-return]

    def _split(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:-1], self.heads, -1).transpose(1, 2)


class ValueGenerator(Generator):
    """V(t) = t + G(t)."""

    def forward(self, tokens: Tensor) -> Tensor:
        """Return [B, n, D] for tokens [B, n, D]."""
        return tokens + super().forward(tokens)
