"""The two learned networks of CoPS: the prototype extractor and the decoder of the class tokens."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from zsad.backbones.block import quick_gelu

INITIAL_DEVIATION = 0.02
"""Standard deviation of freshly drawn queries and weights, as in the published code."""


class PrototypeExtractor(nn.Module):
    """Lets queries look at an image's patches, in one pre-norm block of cross attention.

    X <- X + OutProj(MHA(LN1(X), LN1(F), LN1(F))); X <- X + fc2(QuickGELU(fc1(LN2(X)))). LN1 is the same for
    queries and patches. Queries do not see one another, so both states' go through it together.

    Args:
        width: Channels C.
        heads: Upper bound of the number of heads; the largest one that divides ``width`` is taken.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = next(count for count in range(min(heads, width), 0, -1) if width % count == 0)
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(width, width) for _ in range(3))
        self.out_proj = nn.Linear(width, width)
        self.fc1, self.fc2 = nn.Linear(width, width), nn.Linear(width, width)
        initialise(self)
        for projection in (self.q_proj, self.k_proj, self.v_proj):
            # Xavier's bound for the three as one matrix [3C, C].
            nn.init.xavier_uniform_(projection.weight, gain=2**-0.5)

    def forward(self, queries: Tensor, patches: Tensor) -> Tensor:
        """Return the queries' outputs [B, P, C].

        Args:
            queries: [P, C].
            patches: [B, N, C].
        """
        x = queries.expand(patches.shape[0], -1, -1)
        seen = self.ln_1(patches)
        q, k, v = self.q_proj(self.ln_1(x)), self.k_proj(seen), self.v_proj(seen)
        heads = F.scaled_dot_product_attention(self._split(q), self._split(k), self._split(v))
        x = x + self.out_proj(heads.transpose(1, 2).flatten(2))
        return x + self.fc2(quick_gelu(self.fc1(self.ln_2(x))))  # type: ignore[no-any-return]

    def _split(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)


class ClassDecoder(nn.Module):
    """b = W2 ReLU(W1 z): the VAE's decoder, from noise to what is added to the class tokens.

    Args:
        width: Channels C of noise and bias.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, width), nn.Linear(width, width)
        initialise(self)

    def forward(self, noise: Tensor) -> Tensor:
        """Return the bias [..., C] of noise [..., C]."""
        return self.fc2(F.relu(self.fc1(noise)))  # type: ignore[no-any-return]


def initialise(module: nn.Module) -> None:
    """Draw the linear layers of a module as the published code does."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=INITIAL_DEVIATION)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
