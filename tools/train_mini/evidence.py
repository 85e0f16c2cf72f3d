"""What the frozen vision tower of ``mini`` says of a pool of drawn images: computed once, for all words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tools.train_mini.losses import patch_targets
from tools.train_mini.pool import SLOTS, Pool
from tools.train_mini.train import REFINED_FROM
from zsad.backbones.vision import VisionTower
from zsad.streams import SelfAttention, Stream, TokenRequest, VisionRequest
from zsad_plugins.mini.model import MiniModel

BATCH = 32


@dataclass(frozen=True)
class Evidence:
    """A pool as the text side meets it.

    Attributes:
        tokens: [n, 2, N, C] float16, normalised patch tokens, plain and of the v-v stream.
        cover: [n, SLOTS, N] float32, soft targets of each defect's patches.
        kinds: [n][SLOTS] types of the defects, None for an empty slot.
        families: [n] family of each image.
        nouns: [n] noun of each image.
    """

    tokens: Tensor
    cover: Tensor
    kinds: tuple[tuple[str | None, ...], ...]
    families: tuple[str, ...]
    nouns: tuple[str, ...]

    def showing(self, defect: str | None, family: str | None = None) -> list[int]:
        """Return the places of images with a defect of a type, or of any type; of one family, or of all."""
        return [
            place
            for place, kinds in enumerate(self.kinds)
            if (any(kinds) if defect is None else defect in kinds) and family in (None, self.families[place])
        ]

    def regions(self) -> tuple[Tensor, list[tuple[str, str]]]:
        """Return normalised mean tokens over each defect, [2, R, C] float32, with its type and family."""
        features, about = [], []
        for place, kinds in enumerate(self.kinds):
            for slot, kind in enumerate(kinds):
                weights = self.cover[place, slot]
                if kind is not None and bool(weights.sum() > 0):
                    mean = (self.tokens[place].float() * weights[:, None]).sum(dim=1) / weights.sum()
                    features.append(F.normalize(mean, dim=-1))
                    about.append((kind, self.families[place]))
        return torch.stack(features, dim=1), about


def evidence_of(model: MiniModel, pool: Pool) -> Evidence:
    """Return the features of a pool under a finished model."""
    depth = model.shape.depth
    tower = VisionTower(model.vision_weights(stem=False), model.shape.tower_profile("float32")).eval()
    stream = Stream(REFINED_FROM, SelfAttention(("vv",)))
    request = VisionRequest((TokenRequest("plain", depth), TokenRequest("vv", depth, stream)))
    tokens = []
    for low in range(0, len(pool), BATCH):
        features = torch.from_numpy(np.array(pool.features[low : low + BATCH])).float()
        with torch.inference_mode():
            output = tower(features, [request])[0]
        pair = torch.stack([entry.tokens for entry in output.token_sets[:2]], dim=1)
        tokens.append(F.normalize(pair.float(), dim=-1).half())
    kinds = tuple((*record.defects, *[None] * (SLOTS - len(record.defects))) for record in pool.records)
    return Evidence(
        torch.cat(tokens).clone(),
        patch_targets(torch.from_numpy(np.array(pool.cover)).float()),
        kinds,
        tuple(record.family for record in pool.records),
        tuple(record.class_name for record in pool.records),
    )
