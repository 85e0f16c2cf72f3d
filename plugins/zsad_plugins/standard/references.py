"""The tokens of reference images as a memory, and the distance to the nearest of them as a score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.parts import BuildContext, Memory
from zsad.values import Conditioning, Features, Scores, ScoreSet
from zsad_plugins.standard.nearest import coreset, nearest_distance
from zsad_plugins.standard.options import TokenMemoryOptions


class TokenMemory:
    """Remembers every token of the references as a unit vector: a buffer [n, D] for each token set."""

    def __init__(self, options: TokenMemoryOptions, context: BuildContext) -> None:
        self.space, self.share, self.seed = options.space, options.share, context.seed

    def remember(self, features: Features, masks: Tensor | None) -> Memory:
        """Return the unit tokens [B * N, D] of a batch of normal references, by token set."""
        return {
            entry.name: F.normalize(entry.tokens.flatten(0, 1), dim=-1)
            for entry in features.token_sets
            if self.space in (None, entry.space)
        }

    def fit(self, kept: Sequence[Memory]) -> Mapping[str, Tensor]:
        """Return the tokens of all references, or the chosen share of them."""
        found = {name: torch.cat([batch[name] for batch in kept]) for name in kept[0]}
        if self.share < 1:
            found = {
                name: keys[coreset(keys, max(1, round(self.share * len(keys))), self.seed)]
                for name, keys in found.items()
            }
        return found


class NearestScorer:
    """s = 1 - max over remembered tokens m of <p, m>, for every patch p of every token set."""

    def __init__(self, options: None, context: BuildContext) -> None:
        pass

    def __call__(self, features: Features, conditioning: Conditioning) -> Scores:
        """Return one set of distances per token set."""
        return Scores(
            tuple(
                ScoreSet(entry.name, entry.grid.to_maps(distances[..., None]), "anomaly")
                for entry in features.patch_sets
                for distances in [nearest_distance(entry.tokens, conditioning.required_memory[entry.name])]
            )
        )
