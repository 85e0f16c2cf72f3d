"""Cosine scores of the patches, and an image feature that listens to them (paper: local-to-global fusion)."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.parts import BuildContext
from zsad.values import ABNORMAL, Conditioning, Features, Scores, ScoreSet
from zsad_plugins.crane.options import LocalToGlobalOptions
from zsad_plugins.standard.scorers import cosine_logits, image_probability


def pooled_feature(tokens: Tensor, logits: Tensor) -> Tensor:
    """Return g = norm(sum over patches of w mean_k F_k), w = softmax(mean_k Z_k)[abnormal].

    Args:
        tokens: [K, B, N, C] patch features of K sets.
        logits: [K, B, N, 2] their logits Z.

    Returns:
        [B, C].
    """
    weight = torch.softmax(logits.mean(0), dim=-1)[..., ABNORMAL, None]
    mean = F.normalize(tokens, dim=-1).mean(0)
    return F.normalize((weight * mean).sum(dim=1), dim=-1)


class LocalToGlobal:
    """Scores every token set by its logits, and the image by norm(share g + (1 - share) norm(cls))."""

    def __init__(self, options: LocalToGlobalOptions, context: BuildContext) -> None:
        self.temperature, self.share = options.temperature, options.share

    def image_feature(self, features: Features, logits: Tensor) -> Tensor:
        """Return the mixed image feature [B, C], normalised, for logits [K, B, N, 2] of the token sets."""
        tokens = torch.stack([entry.tokens for entry in features.token_sets])
        local = pooled_feature(tokens, logits)
        mixed = self.share * local + (1 - self.share) * F.normalize(features.image_feature, dim=-1)
        return F.normalize(mixed, dim=-1)

    def __call__(self, features: Features, conditioning: Conditioning) -> Scores:
        """Return logits per token set and the image score.

        Raises:
            InputError: The token sets are windows, or differ in their grids.
        """
        text, grid, sets = conditioning.text_features, features.grid, features.token_sets
        logits = torch.stack([cosine_logits(entry.tokens, text, self.temperature) for entry in sets])
        mixed = replace(features, image_feature=self.image_feature(features, logits))
        scores = Scores(
            tuple(
                ScoreSet(entry.name, grid.to_maps(values), "logits")
                for entry, values in zip(sets, logits, strict=True)
            )
        )
        score = image_probability(mixed, text, self.temperature)
        return scores.with_image_score(score, "crane.local_to_global: image feature and patches")
