"""Scores without text: cos(patch, anomaly token) - cos(patch, normal token)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from zsad.errors import InputError
from zsad.parts import BuildContext
from zsad.values import ABNORMAL, NORMAL, Conditioning, Features, Scores, ScoreSet, TokenSet


def state_tokens(entry: TokenSet) -> Tensor:
    """Return the states of the injected tokens, [B, 2, D], the normal one first.

    Raises:
        InputError: The set holds none.
    """
    if entry.injected is None:
        raise InputError(
            f"token set '{entry.name}' holds no injected tokens; choose an attention_refiner that injects "
            "some, and a feature_adapter that hands them on"
        )
    return entry.injected


def contrast(entry: TokenSet) -> Tensor:
    """Return the contrast of every patch, [B, N], in -2 ... 2.

    Raises:
        InputError: The set holds no injected tokens.
    """
    tokens = F.normalize(state_tokens(entry), dim=-1)
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
