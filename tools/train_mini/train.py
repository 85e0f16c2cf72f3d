"""The training loop of ``mini``."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tools.train_mini import losses
from tools.train_mini.pool import SLOTS, Array, Pool, Record
from tools.train_mini.sentences import Bank, Sentences
from zsad.backbones.text import TextTower
from zsad.backbones.vision import VisionTower
from zsad.streams import SelfAttention, Stream, TokenRequest, VisionRequest, WindowRequest
from zsad_plugins.mini.model import MiniModel
from zsad_plugins.mini.tokenizer import RowTokenizer

REFINED_FROM = 2
"""First block of the v-v stream: a quarter of the depth, as in the recipes that read it."""
WINDOW_STRIDE = 4
"""Windows are read on a lattice: every place, as WinCLIP does, would take most of the time."""
STATISTICS_IMAGES = 256
TEXT_RUNS = 4
CROP_CHANCE = 0.7
SMALLEST_CROP = 0.6
"""How often a step sees crops of the images, and their smallest side as a share of the grid."""
GAIN, SHIFT, NOISE = 0.2, 0.3, 0.4
"""How far stem features are perturbed, in standard deviations of their channel."""


@dataclass(frozen=True)
class Plan:
    """How to train.

    Attributes:
        steps: Optimiser steps.
        batch: Images per step.
        rate: Highest learning rate, reached after ``warmup`` steps and then falling to 0 as a cosine.
        warmup: Steps of linear growth.
        decay: Weight decay of AdamW, on matrices only.
        seed: Seed of everything random.
        device: Where to train.
    """

    steps: int
    batch: int = 32
    rate: float = 1e-3
    warmup: int = 40
    decay: float = 0.05
    seed: int = 0
    device: str = "cpu"


class Trainer:
    """Trains a model on a pool; the towers are those that users run, over the pool's stem features."""

    def __init__(self, model: MiniModel, ids: Tensor, pool: Pool, sentences: Sentences, plan: Plan) -> None:
        self.model, self.pool, self.sentences, self.plan = model.to(plan.device), pool, sentences, plan
        self.rng = np.random.default_rng((plan.seed, 7))
        shape = model.shape
        self.vision = VisionTower(model.vision_weights(stem=False), shape.tower_profile("float32"))
        tokenizer = RowTokenizer(ids, shape.context_length)
        self.text = TextTower(model.text_weights(), shape.text_profile(), tokenizer)
        # Towers freeze what they are given; the parameters share storage with the model's.
        learned = dict(self.vision.named_parameters(prefix="vision"))
        learned |= dict(self.text.named_parameters(prefix="text"))
        self.scale = nn.Parameter(torch.tensor(math.log(1 / 0.07), device=plan.device))
        for parameter in learned.values():
            parameter.requires_grad_(True)
        matrices = [p for p in learned.values() if p.ndim > 1]
        others = [p for p in learned.values() if p.ndim <= 1]
        self.optimiser = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": plan.decay},
                {"params": [*others, self.scale], "weight_decay": 0.0},
            ],
            lr=plan.rate,
            betas=(0.9, 0.98),
        )
        self.parameters = [*learned.values(), self.scale]
        self.mean, self.deviation = _statistics(pool, plan.device)
        self._order: list[int] = []
        depth, stream = shape.depth, Stream(REFINED_FROM, SelfAttention(("vv",)))
        self._tokens = (TokenRequest("plain", depth), TokenRequest("vv", depth, stream))

    def run(self, report: Callable[[int, dict[str, float]], None], every: int = 50) -> None:
        """Train; ``report`` gets the step and the mean losses since the last report."""
        begun, seen = time.perf_counter(), dict[str, list[float]]()
        for step in range(1, self.plan.steps + 1):
            for group in self.optimiser.param_groups:
                group["lr"] = self.plan.rate * self._factor(step)
            with torch.autocast(self.plan.device.split(":")[0], dtype=torch.bfloat16):
                parts = self._losses(self._batch(), step)
            total = torch.stack(list(parts.values())).sum()
            self.optimiser.zero_grad(set_to_none=True)
            total.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self.parameters, 1.0)
            self.optimiser.step()
            for name, value in parts.items():
                seen.setdefault(name, []).append(float(value.detach()))
            if step % every == 0 or step == self.plan.steps:
                means = {name: sum(values) / len(values) for name, values in seen.items()}
                report(step, means | {"seconds": time.perf_counter() - begun})
                seen.clear()

    def finished(self) -> MiniModel:
        """Return the model for images: the features' standardisation folded into the patch projection."""
        projection = self.model.vision.patch_projection
        with torch.no_grad():
            weight = projection.weight / self.deviation
            assert projection.bias is not None
            bias = projection.bias - (weight * self.mean).sum(dim=(1, 2, 3))
        model = MiniModel(self.model.shape)
        model.load_state_dict(self.model.state_dict())
        model.vision.patch_projection.weight.data.copy_(weight)
        assert model.vision.patch_projection.bias is not None
        model.vision.patch_projection.bias.data.copy_(bias)
        return model.eval().requires_grad_(False)

    def _factor(self, step: int) -> float:
        if step < self.plan.warmup:
            return step / self.plan.warmup
        return 0.5 * (1 + math.cos(math.pi * step / (self.plan.steps + 1)))

    def _batch(self) -> Array:
        """Return the places of a batch.

        Images come in a new order each time round; those that would not fill a batch are left out of it.
        """
        if len(self._order) < self.plan.batch:
            self._order = self.rng.permutation(len(self.pool)).tolist()
        taken, self._order = self._order[: self.plan.batch], self._order[self.plan.batch :]
        return np.sort(np.array(taken))

    def _encode_texts(self, texts: list[str]) -> Tensor:
        """Return normalised features [n, C]; texts of like length go together, cut at their longest."""
        ids = self.text.tokenize(texts)
        end = self.text.end_positions(ids)
        order = torch.argsort(end)
        runs = [self.text(self.text.embed(ids[run]), end[run]) for run in order.chunk(TEXT_RUNS)]
        return F.normalize(torch.cat(runs)[torch.argsort(order)].float(), dim=-1)

    def _losses(self, places: Array, step: int) -> dict[str, Tensor]:
        device, draw = self.plan.device, self.sentences
        features, share = self._crops(places)
        whole = [self.pool.records[place] for place in places]
        records = [visible(record, seen) for record, seen in zip(whole, share, strict=True)]
        stem = torch.from_numpy(features).to(device).float()
        by_type = losses.patch_targets(torch.from_numpy(share).to(device).float())
        cover = by_type.amax(dim=1)
        nouns = [draw.noun(record) for record in records]
        common = draw.noun()
        materials = Bank(tuple(sorted({record.material for record in records})))
        families = Bank(tuple(sorted({record.family for record in records})))
        banks = [
            [draw.defect(name, common) for name in draw.defects.names],
            [draw.material(name) for name in materials.names],
            [draw.framed(name.replace("_", " ")) for name in families.names],
        ]
        texts = [
            *(draw.caption(record, seen.sum(axis=0)) for record, seen in zip(records, share, strict=True)),
            *(draw.state(False, noun) for noun in nouns),
            *(draw.state(True, noun) for noun in nouns),
        ]
        count = len(records)
        encoded = self._encode_texts([*texts, *(text for bank in banks for text in bank)])
        captions, normal, abnormal, *named = torch.split(encoded, [count, count, count, *map(len, banks)])

        windows = (WindowRequest("window", 2 + step // 2 % 2, WINDOW_STRIDE),) if step % 2 else ()
        request = VisionRequest(self._tokens, windows)
        # AnomalyCLIP reads the class feature without ln_post.
        inputs = perturbed((stem - self.mean) / self.deviation)
        output, raw = self.vision(inputs, [request, VisionRequest(cls_ln_post=False)])
        plain, refined = (entry.tokens for entry in output.token_sets[:2])
        kinds = torch.tensor(
            [self._kinds(record, seen) for record, seen in zip(whole, share, strict=True)], device=device
        )
        only = torch.where((kinds >= 0).sum(dim=1) == 1, kinds.amax(dim=1), -1)
        material = torch.tensor([materials.index(record.material) for record in records], device=device)
        family = torch.tensor([families.index(record.family) for record in records], device=device)
        defective = (cover.amax(dim=1) > 0).float()
        image = F.normalize(output.image_feature.float(), dim=-1)

        found: dict[str, Tensor] = {}
        keys = [(record.class_name, record.material, record.defects) for record in records]
        same = torch.tensor([[a == b for b in keys] for a in keys], device=device)
        found["caption"] = 0.3 * losses.contrastive(image, captions, same, self.scale.exp().clamp(max=100))
        for name, tokens in (("plain", plain), ("vv", refined)):
            logits = losses.state_logits(tokens, normal, abnormal)
            found[f"focal.{name}"] = 2 * losses.focal(logits, cover)
            found[f"dice.{name}"] = 0.5 * losses.dice(logits, cover)
            found[f"types.{name}"] = 0.6 * losses.type_maps(tokens, normal, named[0], by_type, kinds)
        for name, feature in (("image", output.image_feature), ("raw", raw.image_feature)):
            logits = losses.state_logits(feature[:, None], normal, abnormal)[:, 0]
            found[f"state.{name}"] = 0.5 * F.binary_cross_entropy_with_logits(logits, defective)
        found["defect"] = 0.3 * losses.naming(output.image_feature, named[0], only)
        found["region"] = 0.5 * losses.naming(
            losses.region_features(refined, by_type), named[0], kinds.flatten()
        )
        found["material"] = 0.6 * losses.naming(output.image_feature, named[1], material)
        found["family"] = 0.1 * losses.naming(output.image_feature, named[2], family)
        if windows:
            found["window"] = 0.5 * self._window_loss(
                output.token_sets[2].tokens, windows[0], cover, normal, abnormal
            )
        return found

    def _kinds(self, record: Record, cover: Array) -> list[int]:
        """Return the place in the bank of each slot's defect type, -1 where the crop shows none.

        Args:
            record: Of the whole image, whose defects are in the order of the slots.
            cover: [SLOTS, s, s] of the crop.
        """
        found = [self.sentences.defects.index(name) for name in record.defects]
        found += [-1] * (SLOTS - len(found))
        return [kind if share.any() else -1 for kind, share in zip(found, cover, strict=True)]

    def _crops(self, places: Array) -> tuple[Array, Array]:
        """Return features [B, CHANNELS, s, s] and cover [B, SLOTS, s, s] of crops of one random side.

        Crops of feature maps cost nothing, show objects at other scales and places, and shorten sequences.
        """
        full = self.model.shape.grid
        side = (
            int(self.rng.integers(round(SMALLEST_CROP * full), full + 1))
            if self.rng.random() < CROP_CHANCE
            else full
        )
        features, cover = [], []
        for place in places:
            top, left = self.rng.integers(0, full - side + 1, 2)
            features.append(self.pool.features[place, :, top : top + side, left : left + side])
            cover.append(self.pool.cover[place, :, top : top + side, left : left + side])
        return np.stack(features), np.stack(cover)

    def _window_loss(
        self, tokens: Tensor, window: WindowRequest, cover: Tensor, normal: Tensor, abnormal: Tensor
    ) -> Tensor:
        """Return the state loss of windows [B, W, C]; one is abnormal as far as its worst patch is."""
        side = math.isqrt(cover.shape[1])
        patches = cover.view(-1, side, side).unfold(1, window.size, window.stride)
        target = patches.unfold(2, window.size, window.stride).flatten(3).amax(dim=3).flatten(1)
        return losses.focal(losses.state_logits(tokens, normal, abnormal), target)


def perturbed(features: Tensor) -> Tensor:
    """Return standardised stem features [B, C, g, g] as if another camera had taken the image.

    Every channel of every image gets a gain, a shift and noise of its own, drawn anew: what is drawn looks
    different from what is photographed mostly in such statistics, and the towers must not lean on them.
    """
    count, channels = features.shape[:2]
    gain = 1 + GAIN * torch.randn(count, channels, 1, 1, device=features.device)
    shift = SHIFT * torch.randn(count, channels, 1, 1, device=features.device)
    strength = NOISE * torch.rand(count, 1, 1, 1, device=features.device)
    return features * gain + shift + strength * torch.randn_like(features)


def visible(record: Record, cover: Array) -> Record:
    """Return the record of a crop: defects that it lost are not named, nor described by the caption.

    Args:
        record: Of the whole image.
        cover: [SLOTS, s, s] of the crop.
    """
    seen = tuple(name for name, share in zip(record.defects, cover, strict=False) if share.any())
    return record if seen == record.defects else replace(record, caption="", defects=seen)


def _statistics(pool: Pool, device: str) -> tuple[Tensor, Tensor]:
    """Return mean and deviation per channel of the stem's features, [1, CHANNELS, 1, 1]."""
    some = torch.from_numpy(np.array(pool.features[:STATISTICS_IMAGES])).float()
    mean = some.mean(dim=(0, 2, 3), keepdim=True)
    deviation = some.std(dim=(0, 2, 3), keepdim=True).clamp(min=1e-3)
    return mean.to(device), deviation.to(device)
