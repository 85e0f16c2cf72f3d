"""Decoupled pairs: for every tap one pair of vectors for patches and one for the class token."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zsad.errors import InputError
from zsad.parts import BuildContext
from zsad.values import ABNORMAL, Conditioning, Features, Scores, ScoreSet, TokenSet
from zsad_plugins.uniadet.options import ImageScoreOptions, PairOptions


class Pairs(nn.Module):
    """z = cos(x, W) / temperature: patches with the segmentation pairs, class tokens with the others.

    Attributes:
        segmentation: [taps, 2, D], normal first; vectors of any length, compared by direction.
        classification: [taps, 2, D].
    """

    def __init__(self, options: PairOptions, context: BuildContext) -> None:
        super().__init__()
        self.temperature = options.temperature
        width = context.embed_dim if context.stage == "joint" else context.vision_width
        self.segmentation, self.classification = (
            nn.Parameter(torch.randn(len(context.taps), 2, width) * width**-0.5) for _ in range(2)
        )

    def forward(self, features: Features, conditioning: Conditioning) -> Scores:
        """Return a set of logits per tap, and the mean over the taps of the class tokens' probabilities."""
        entries = features.patch_sets
        if len(entries) != len(self.segmentation):
            raise InputError(
                f"there are {len(self.segmentation)} pairs of vectors, one per tap, but the attention "
                f"refiner reads {len(entries)} token sets; choose one that reads each tap once"
            )
        sets = tuple(
            ScoreSet(entry.name, entry.grid.to_maps(self.logits(entry.tokens, pair)), "logits")
            for entry, pair in zip(entries, self.segmentation, strict=True)
        )
        score = torch.softmax(self.class_logits(features), dim=-1)[..., ABNORMAL].mean(0)
        return Scores(sets).with_image_score(score, "uniadet.pairs: class tokens")

    def logits(self, tokens: Tensor, pair: Tensor) -> Tensor:
        """Return [..., 2] for tokens [..., D] and a pair [2, D]."""
        return F.normalize(tokens, dim=-1) @ F.normalize(pair, dim=-1).to(tokens).mT / self.temperature

    def class_logits(self, features: Features) -> Tensor:
        """Return the logits of every tap's class token, [taps, B, 2].

        Raises:
            InputError: A token set has no class token.
        """
        found = zip(features.patch_sets, self.classification, strict=True)
        return torch.stack([self.logits(_class_token(entry), pair) for entry, pair in found])


class ImageScore:
    """k p + (1 - k) max of the smoothed map."""

    def __init__(self, options: ImageScoreOptions, context: BuildContext) -> None:
        self.share = options.share

    def __call__(self, scores: Scores, features: Features) -> Scores:
        """Return the scores with the mixed image score."""
        peak = scores.required_map.flatten(1).amax(1)
        mixed = self.share * scores.required_image_score + (1 - self.share) * peak
        return scores.with_image_score(mixed, "uniadet.image_score: class tokens and map's maximum")


def _class_token(entry: TokenSet) -> Tensor:
    if entry.class_token is None:
        raise InputError(
            f"token set '{entry.name}' has no class token, which the pairs of the image compare; choose an "
            "attention_refiner that reads one"
        )
    return entry.class_token
