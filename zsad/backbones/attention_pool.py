"""The attention pool that SigLIP reads its image feature with."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from zsad.backbones.block import ACTIVATIONS
from zsad.recipe.profiles import Activation


class AttentionPool(nn.Module):
    """One learned query attends to all tokens, then a residual MLP (Zhai et al., CVPR 2022, "MAP").

    Attributes:
        heads: Number of attention heads.
        activation: Activation of the MLP.
    """

    def __init__(
        self,
        *,
        latent: Tensor,
        q_proj: nn.Linear,
        k_proj: nn.Linear,
        v_proj: nn.Linear,
        out_proj: nn.Linear,
        norm: nn.Module,
        fc1: nn.Linear,
        fc2: nn.Linear,
        heads: int,
        activation: Activation,
    ) -> None:
        super().__init__()
        self.latent = nn.Parameter(latent, requires_grad=False)
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = q_proj, k_proj, v_proj, out_proj
        self.norm, self.fc1, self.fc2 = norm, fc1, fc2
        self.heads = heads
        self.activation = activation

    def with_activation(self, activation: Activation) -> AttentionPool:
        """Return a pool over the same parameters with another activation."""
        return AttentionPool(
            latent=self.latent, q_proj=self.q_proj, k_proj=self.k_proj, v_proj=self.v_proj,
            out_proj=self.out_proj, norm=self.norm, fc1=self.fc1, fc2=self.fc2,
            heads=self.heads, activation=activation,
        )  # fmt: skip

    @property
    def embed_dim(self) -> int:
        """Channels of the joint space."""
        return self.out_proj.out_features

    def forward(self, tokens: Tensor) -> Tensor:
        """Return what the query finds in tokens [B, N, D]: [B, C]."""
        query = self.q_proj(self.latent).expand(len(tokens), 1, -1)
        q, k, v = (self._split(x) for x in (query, self.k_proj(tokens), self.v_proj(tokens)))
        found = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(-2)
        return self._finish(found)[:, 0]

    def each(self, tokens: Tensor) -> Tensor:
        """Return what the query would find in each of the tokens [B, N, D] if it were alone: [B, N, C].

        With one key the attention is 1, so that a token passes the value and output projections and the MLP.
        """
        return self._finish(self.v_proj(tokens))

    def _split(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:-1], self.heads, -1).transpose(1, 2)

    def _finish(self, x: Tensor) -> Tensor:
        x = self.out_proj(x)
        finished: Tensor = x + self.fc2(ACTIVATIONS[self.activation](self.fc1(self.norm(x))))
        return finished
