"""Cosine scores of the patches, and an image feature that listens to them (paper: local-to-global fusion)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.errors import InputError
from zsad.parts import BuildContext
from zsad.values import ABNORMAL, Conditioning, Features, Grid, Scores, ScoreSet
from zsad_plugins.crane.options import LocalToGlobalOptions
from zsad_plugins.standard.scorers import cosine_logits, on_grid


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

    def __init__(self, options: LocalToGlobalOptions) -> None:
        self.temperature, self.share = options.temperature, options.share

    def image_feature(self, features: Features, logits: Tensor) -> Tensor:
        """Return the mixed image feature [B, C], normalised, for logits [K, B, N, 2] of the token sets."""
        tokens = torch.stack([entry.tokens for entry in features.token_sets])
        local = pooled_feature(tokens, logits)
        mixed = self.share * local + (1 - self.share) * F.normalize(features.image_feature, dim=-1)
        return F.normalize(mixed, dim=-1)

    def __call__(self, features: Features, conditioning: Conditioning | None) -> Scores:
        """Return logits per token set and the image score."""
        assert conditioning is not None  # 'text_features' is required
        text = conditioning.text_features
        layouts = {entry.layout for entry in features.token_sets if isinstance(entry.layout, Grid)}
        if len(layouts) != 1:
            raise InputError("crane.local_to_global needs patch tokens of one and the same grid in all sets")
        (grid,) = layouts
        logits = torch.stack(
            [cosine_logits(entry.tokens, text, self.temperature) for entry in features.token_sets]
        )
        sets = tuple(
            ScoreSet(entry.name, on_grid(values, grid), "logits")
            for entry, values in zip(features.token_sets, logits, strict=True)
        )
        image = cosine_logits(self.image_feature(features, logits)[:, None], text, self.temperature)[:, 0]
        score = torch.softmax(image, dim=-1)[:, ABNORMAL]
        return Scores(sets).with_image_score(score, "crane.local_to_global: image feature and patches")


def build(options: LocalToGlobalOptions, context: BuildContext) -> LocalToGlobal:
    """Build the scorer."""
    return LocalToGlobal(options)
