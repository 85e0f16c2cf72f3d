"""The mean of the patches, where a model reads its image feature from it."""

from __future__ import annotations

from torch import Tensor, nn

from zsad.recipe.profiles import Activation


class AveragePool(nn.Module):
    """Mean over the patches, then a norm (timm's ``avg`` pooling with ``fc_norm``).

    Attributes:
        norm: The norm, or an identity.
        embed_dim: Channels.
    """

    def __init__(self, norm: nn.Module, embed_dim: int) -> None:
        super().__init__()
        self.norm = norm
        self.embed_dim = embed_dim

    def with_activation(self, activation: Activation) -> AveragePool:
        """Return itself: it has no activation."""
        return self

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the feature [B, D] of tokens [B, N, D]."""
        feature: Tensor = self.norm(tokens.mean(1))
        return feature

    def each(self, tokens: Tensor) -> Tensor:
        """Return what each of the tokens [B, N, D] would give if it were alone: [B, N, D]."""
        found: Tensor = self.norm(tokens)
        return found
