"""The layers behind one tap: anchors that show the patches to a token, and the patches' own MLP."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zsad.errors import InputError
from zsad_plugins.aprilgan.heads import PreciseLinear
from zsad_plugins.visualad.options import AlignmentOptions

INITIAL_RESIDUAL = 0.01
"""What the residual of the cross attention begins with, as in the published code."""


class PreciseNorm(nn.LayerNorm):
    """A LayerNorm in the precision of what it is given."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised [..., D]."""
        return F.layer_norm(
            x, self.normalized_shape, self.weight.to(x.dtype), self.bias.to(x.dtype), self.eps
        )


class CrossAttention(nn.Module):
    """Spatial-aware cross attention: z' = z + r o, o = W_o sum_a g_a(z) (softmax(Q K^T / sqrt(D)) V)_a + b_o.

    Q = LN(W_q a) of the anchors a, K = LN(W_k (x + p)), V = W_v x of the patches x with position rows p, and
    g = sigmoid(W_g z + b_g) the token's share in each anchor.

    Attributes:
        anchors: a, [A, D].
        positions: p, [places, D].
        residual: r, [1].
    """

    def __init__(self, options: AlignmentOptions, width: int) -> None:
        super().__init__()
        self.dropout = options.dropout
        self.anchors = nn.Parameter(torch.randn(options.anchors, width) * width**-0.5)
        self.positions = nn.Parameter(torch.randn(options.places, width) * 0.02)
        self.residual = nn.Parameter(torch.full((1,), INITIAL_RESIDUAL))
        self.q_proj, self.k_proj, self.v_proj = (PreciseLinear(width, width, bias=False) for _ in range(3))
        self.q_norm, self.k_norm = PreciseNorm(width), PreciseNorm(width)
        self.gate = PreciseLinear(width, options.anchors)
        self.out_proj = PreciseLinear(width, width)

    def forward(self, tokens: Tensor, patches: Tensor) -> Tensor:
        """Return the tokens z' [B, n, D], for tokens [B, n, D] and patches [B, N, D].

        Raises:
            InputError: There are more patches than position rows.
        """
        count, dtype = patches.shape[1], patches.dtype
        if count > len(self.positions):
            raise InputError(
                f"visualad.alignment has position rows for {len(self.positions)} patches, and this image "
                f"size gives {count}; use a smaller --image-size, or train with --set "
                f"feature_adapter.places={count}"
            )
        query = self.q_norm(self.q_proj(self.anchors.to(dtype)))
        key = self.k_norm(self.k_proj(patches + self.positions[:count].to(dtype)))
        attention = torch.softmax(query @ key.transpose(1, 2) * query.shape[-1] ** -0.5, dim=-1)
        seen = _dropped(attention, self.dropout) @ self.v_proj(patches)  # [B, A, D]
        shares = torch.sigmoid(self.gate(tokens))  # [B, n, A]
        found = self.out_proj(shares @ seen)
        return tokens + self.residual.to(dtype) * _dropped(found, self.dropout)


class PatchMlp(nn.Module):
    """W_2 GELU(W_1 x + b_1) + b_2, without residual; weights start by Xavier's rule, biases at 0."""

    def __init__(self, options: AlignmentOptions, width: int) -> None:
        super().__init__()
        self.dropout = options.dropout
        self.fc1, self.fc2 = PreciseLinear(width, width), PreciseLinear(width, width)
        for layer in (self.fc1, self.fc2):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, patches: Tensor) -> Tensor:
        """Return [B, N, D]."""
        found: Tensor = self.fc2(_dropped(F.gelu(self.fc1(patches)), self.dropout))
        return found


def _dropped(x: Tensor, share: float) -> Tensor:
    # A recipe sets the share for its training alone; there is no other mode to go by.
    return F.dropout(x, share) if share else x
