"""From prompts to one text vector per state: encoded once per class where nothing depends on the image."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zsad.backbones.text import TextTower
from zsad.data.order import places_by_name
from zsad.parts import PromptConditioner, PromptLearner, ProvisionalConditioner, Scorer
from zsad.prompts import Prompts, Reduction
from zsad.values import (
    ABNORMAL,
    NORMAL,
    Conditioning,
    Features,
    Provisional,
    join_scores,
)


def reduce_prompts(
    features: Tensor, state: Tensor, reduction: Reduction, weights: Tensor | None = None
) -> Tensor:
    """Average prompt features per state.

    Args:
        features: [..., n, C], not normalised.
        state: [n], 0 or 1.
        reduction: Whether each feature is normalised first, and what is normalised last.
        weights: [..., n] weights in the mean, or None for equal ones.

    Returns:
        [..., 2, C]: normal, abnormal.
    """
    if reduction.normalize_each:
        features = F.normalize(features, dim=-1)
    means = []
    for value in (NORMAL, ABNORMAL):
        chosen = features[..., state == value, :]
        if weights is None:
            means.append(chosen.mean(dim=-2))
        else:
            share = weights[..., state == value, None]
            means.append((chosen * share).sum(dim=-2) / share.sum(dim=-2))
    pair = F.normalize(torch.stack(means, dim=-2), dim=-1)
    if reduction.joint_norm:
        pair = pair / pair.flatten(-2).norm(dim=-1)[..., None, None]
    return pair


def encode_prompts(tower: TextTower, prompts: Prompts) -> tuple[Tensor, Tensor]:
    """Encode prompts.

    Returns:
        The state vectors [..., 2, C] and the features of the single prompts [..., n, C], float32
        (float64 from a float64 tower).
    """
    raw = tower(prompts.embeddings, prompts.end, prompts.deep, prompts.edits)
    raw = raw if raw.dtype == torch.float64 else raw.float()
    return reduce_prompts(raw, prompts.state, prompts.reduction, prompts.weights), raw


def without_text(features: Features) -> Conditioning:
    """Return the conditioning of a method without text: no state, [B, 0, C]."""
    return Conditioning(features.image_feature.new_empty(len(features), 0, features.image_feature.shape[1]))


class TextSide:
    """Prompt learner, conditioner and text tower of one method, with a cache of what is constant.

    Attributes:
        encodings: How often prompts went through the tower outside training.
    """

    def __init__(
        self,
        tower: TextTower,
        learner: PromptLearner,
        conditioner: PromptConditioner | ProvisionalConditioner | None,
        scorer: Scorer | None = None,
    ) -> None:
        """Join the parts.

        Args:
            tower: The text tower.
            learner: Gives the prompts of a class.
            conditioner: Edits them for each image, or None.
            scorer: Gives the provisional scores of a :class:`zsad.parts.ProvisionalConditioner`.
        """
        self.tower, self.learner, self.conditioner, self.scorer = tower, learner, conditioner, scorer
        self.encodings = 0
        self._cache: dict[str, tuple[Tensor, Tensor]] = {}
        self._prompts: dict[str, Prompts] = {}

    def forget(self) -> None:
        """Drop cached prompts and features, after learned parameters have changed."""
        self._cache.clear()
        self._prompts.clear()

    def __call__(self, features: Features) -> Conditioning:
        """Return the conditioning of a batch, whose images may be of several classes."""
        names = ["" if self.learner.class_agnostic else name for name in features.class_names]
        groups = places_by_name(names)
        found = [self._of_class(name, features, places) for name, places in groups.items()]
        order = torch.tensor([place for places in groups.values() for place in places])
        return _joined(found, order.argsort())

    def _of_class(self, name: str, features: Features, places: list[int]) -> Conditioning:
        """Return the conditioning of the images of one class, at ``places`` of the batch."""
        if self.conditioner is None:
            return self._unedited(name, len(places))
        prompts = self._prompts_of(name)
        batch = replace(prompts, embeddings=prompts.embeddings.expand(len(places), -1, -1, -1))
        chosen = features if len(places) == len(features) else features.select(places)
        provisional = None
        if isinstance(self.conditioner, ProvisionalConditioner):
            provisional = self._provisional(name, chosen)
            prompts, intermediates = self.conditioner.condition(batch, chosen, provisional)
        else:
            prompts, intermediates = self.conditioner(batch, chosen)
        pair, raw = encode_prompts(self.tower, prompts)
        self.encodings += 1
        return Conditioning(pair, raw, intermediates, provisional)

    def _unedited(self, name: str, count: int) -> Conditioning:
        """Return the conditioning of ``count`` images by a class's prompts as they are."""
        pair, raw = self._constant(name)
        return Conditioning(pair.expand(count, -1, -1), raw.expand(count, -1, -1))

    def _provisional(self, name: str, features: Features) -> Provisional:
        assert self.scorer is not None  # whoever has such a conditioner gives the scorer too
        conditioning = self._unedited(name, len(features))
        return Provisional(conditioning, self.scorer(features, conditioning))

    def _prompts_of(self, name: str) -> Prompts:
        if _learns(self.learner):
            return self.learner(name)
        if name not in self._prompts:
            self._prompts[name] = self.learner(name)
        return self._prompts[name]

    def _constant(self, name: str) -> tuple[Tensor, Tensor]:
        if _learns(self.learner) or _learns(self.tower):
            return encode_prompts(self.tower, self.learner(name))
        if name not in self._cache:
            self._cache[name] = encode_prompts(self.tower, self.learner(name))
            self.encodings += 1
        return self._cache[name]


def _learns(part: object) -> bool:
    """Whether gradients are recorded and reach parameters, so that nothing that comes of them can be kept."""
    if not torch.is_grad_enabled() or not isinstance(part, nn.Module):
        return False
    return any(parameter.requires_grad for parameter in part.parameters())


def _joined(found: list[Conditioning], order: Tensor) -> Conditioning:
    """Join the conditionings of a batch's classes and put the images back in their order."""
    if len(found) == 1:
        return found[0]
    order = order.to(found[0].text_features.device)
    raw = [entry.raw for entry in found if entry.raw is not None]
    same_count = len({entry.shape[1] for entry in raw}) == 1
    return Conditioning(
        torch.cat([entry.text_features for entry in found])[order],
        # Classes with different numbers of prompts have no common array of them.
        torch.cat(raw)[order] if same_count else None,
        {
            name: torch.cat([entry.intermediates[name] for entry in found])[order]
            for name in found[0].intermediates
        },
        _joined_provisional([entry.provisional for entry in found if entry.provisional], order),
    )


def _joined_provisional(found: list[Provisional], order: Tensor) -> Provisional | None:
    if not found:
        return None
    scores = join_scores([entry.scores for entry in found])
    return Provisional(_joined([entry.conditioning for entry in found], order), scores.select(order.tolist()))
