"""One pair of logits per place: the sum over all token sets of cosines with text."""

from __future__ import annotations

import torch
from torch import Tensor

from zsad.errors import InputError
from zsad.parts import BuildContext
from zsad.values import ABNORMAL, Conditioning, Features, Scores, ScoreSet
from zsad_plugins.af_clip.options import SumOptions
from zsad_plugins.standard.scorers import cosine_logits


class SummedCosines:
    """z = sum over the sets of cos(g, t) / temperature, at the class position and at every patch."""

    def __init__(self, options: SumOptions, context: BuildContext) -> None:
        self.temperature = options.temperature

    def logits(self, features: Features, conditioning: Conditioning) -> Tensor:
        """Return the logits of every set before the sum, [B, sets, 1 + N, 2], class position first.

        Raises:
            InputError: A token set has no class token.
        """
        found = []
        for entry in features.patch_sets:
            if entry.space != "joint":  # kept beside them for a memory
                continue
            if entry.class_token is None:
                raise InputError(
                    f"token set '{entry.name}' has no class token for the image score; choose a "
                    "feature_adapter that keeps it"
                )
            tokens = torch.cat([entry.class_token[:, None], entry.tokens], dim=1)
            found.append(cosine_logits(tokens, conditioning.text_features, self.temperature))
        return torch.stack(found, dim=1)

    def __call__(self, features: Features, conditioning: Conditioning) -> Scores:
        """Return one set of logits and the image score."""
        total = self.logits(features, conditioning).sum(1)
        patches = ScoreSet("sum", features.grid.to_maps(total[:, 1:]), "logits")
        score = torch.softmax(total[:, 0], dim=-1)[:, ABNORMAL]
        return Scores((patches,)).with_image_score(score, "af-clip.sum: class position")
