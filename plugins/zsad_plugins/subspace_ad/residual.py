"""What the remembered subspace leaves of a patch."""

from __future__ import annotations

from torch import Tensor

from zsad.parts import BuildContext
from zsad.values import Conditioning, Features, Scores, ScoreSet
from zsad_plugins.subspace_ad.memory import mean_tokens


class ResidualScorer:
    """s(p) = | (x - mu) - C C^T (x - mu) |^2."""

    def __init__(self, options: None, context: BuildContext) -> None:
        pass

    def __call__(self, features: Features, conditioning: Conditioning) -> Scores:
        """Return one set of squared residuals.

        Raises:
            InputError: The token sets have several grids.
        """
        memory, tokens = conditioning.required_memory, mean_tokens(features)
        found = residual(tokens, memory["mean"].to(tokens), memory["axes"].to(tokens))
        return Scores((ScoreSet("residual", features.grid.to_maps(found[..., None]), "anomaly"),))


def residual(tokens: Tensor, mean: Tensor, axes: Tensor) -> Tensor:
    """Return the squared distance of tokens [..., D] to the subspace of ``mean`` [D] and ``axes`` [D, r]."""
    centred = tokens - mean
    return (centred - centred @ axes @ axes.mT).square().sum(-1)
