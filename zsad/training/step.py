"""What a loss may look at."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.errors import InputError
from zsad.recipe.training import Maps
from zsad.training.batches import Batch
from zsad.values import Conditioning, Features, Scores, ScoreSet


@dataclass(frozen=True)
class Step:
    """A batch on its way through the parts that learn.

    Attributes:
        batch: Features as encoded, masks, labels and weights of B images.
        adapted: The features behind the feature adapter.
        conditioning: The text side; without states for a method without text.
        scores: The scorer's answer.
        maps: How scores of patches become maps.
    """

    batch: Batch
    adapted: Features
    conditioning: Conditioning
    scores: Scores
    maps: Maps

    @cached_property
    def mask(self) -> Tensor:
        """[B, S, S] float32, 1 where an image is anomalous."""
        return self.batch.masks.float()

    @cached_property
    def probability_maps(self) -> tuple[Tensor, ...]:
        """Probabilities of both states at the masks' size, [B, 2, S, S] for every score set.

        Raises:
            InputError: The scorer gives no score per patch, or scores without two states.
        """
        if not self.scores.sets:
            raise InputError("this method's scorer gives no score per patch that a loss could learn from")
        return tuple(self._enlarged(entry) for entry in self.scores.sets)

    def _enlarged(self, entry: ScoreSet) -> Tensor:
        if entry.kind == "anomaly":
            raise InputError(
                f"the scores of '{entry.name}' have no two states to be learned; choose a scorer that "
                "compares two, or losses that read no maps by --set training.losses"
            )
        # A scorer under bfloat16 or float16 hands on what the losses would have no digits left for.
        values = entry.values.to(torch.promote_types(entry.values.dtype, torch.float32))
        later = False
        if entry.kind == "logits":
            later = self.maps.softmax == "after"
            values = values if later else torch.softmax(values, dim=1)
        side = self.batch.masks.shape[-1]
        if self.maps.upsample == "nearest":
            values = F.interpolate(values, (side, side), mode="nearest")
        else:
            aligned = self.maps.upsample == "bilinear_aligned"
            values = F.interpolate(values, (side, side), mode="bilinear", align_corners=aligned)
        return torch.softmax(values, dim=1) if later else values
