"""Few shots: the nearest remembered neighbourhood, and a tenth of the zero-shot scores on top."""

from __future__ import annotations

import torch
from torch import Tensor

from zsad.errors import InputError
from zsad.parts import BuildContext
from zsad.values import ABNORMAL, Conditioning, Features, Scores, ScoreSet
from zsad_plugins.af_clip.options import FewShotOptions
from zsad_plugins.af_clip.scorer import SummedCosines
from zsad_plugins.standard.nearest import nearest_distance


class RememberedScorer:
    """map = m + alpha p: m from the memory, p the zero-shot map; the image score from their image scores."""

    def __init__(self, options: FewShotOptions, context: BuildContext) -> None:
        self.alpha, self.zero_shot = options.alpha, SummedCosines(options, context)

    def remembered(self, features: Features, conditioning: Conditioning) -> Tensor:
        """Return m, the mean over the token sets of min over the memory of (1 - cos) / 2: [B, N].

        Raises:
            InputError: The adapter keeps no raw sets.
        """
        memory = conditioning.required_memory
        sets = [entry for entry in features.patch_sets if entry.space == "raw"]
        if not sets:
            raise InputError(
                "this method remembers raw neighbourhoods, of which none are kept; add --set "
                "feature_adapter.keep_raw=true, with 'af-clip.adapter' as feature_adapter"
            )
        return torch.stack([nearest_distance(entry.tokens, memory[entry.name]) / 2 for entry in sets]).mean(0)

    def __call__(self, features: Features, conditioning: Conditioning) -> Scores:
        """Return one set of scores and the image score, max m + alpha times that of the class position."""
        distance = self.remembered(features, conditioning)
        zero_shot = self.zero_shot(features, conditioning)
        (logits,) = zero_shot.sets
        text = torch.softmax(logits.values, dim=1)[:, ABNORMAL, None]
        values = features.grid.to_maps(distance[..., None]) + self.alpha * text
        score = distance.amax(1) + self.alpha * zero_shot.required_image_score
        return Scores((ScoreSet("memory", values, "anomaly"),)).with_image_score(
            score, "af-clip.remembered: nearest neighbourhoods and class position"
        )
