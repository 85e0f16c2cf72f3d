"""Scores without text: cos(patch, anomaly token) - cos(patch, normal token)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from zsad.parts import BuildContext
from zsad.values import ABNORMAL, NORMAL, Conditioning, Features, Scores, ScoreSet, TokenSet


def contrast(entry: TokenSet) -> Tensor:
    """Return the contrast of every patch, [B, N], in -2 ... 2.

    Raises:
        InputError: The set holds no injected tokens.
    """
    tokens = F.normalize(entry.required_injected, dim=-1)
    cosines = F.normalize(entry.tokens, dim=-1) @ tokens.transpose(1, 2)
    return cosines[..., ABNORMAL] - cosines[..., NORMAL]


class Contrast:
    """Gives one anomaly score per patch of every tap; the image score is left to a later stage."""

    def __init__(self, options: None, context: BuildContext) -> None:
        pass

    def __call__(self, features: Features, conditioning: Conditioning) -> Scores:
        """Return a score set per tap, [B, 1, h, w].

        Raises:
            InputError: The token sets are windows, or hold no injected tokens.
        """
        return Scores(
            tuple(
                ScoreSet(entry.name, entry.grid.to_maps(contrast(entry)[..., None]), "anomaly")
                for entry in features.token_sets
            )
        )
