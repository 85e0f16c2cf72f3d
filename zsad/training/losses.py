"""The losses that learned-prompt methods share, as functions of probabilities and masks."""

from __future__ import annotations

import torch
from torch import Tensor

from zsad.values import ABNORMAL, NORMAL

SMOOTHING = 1e-5
FOCUS = 2.0


def focal(probabilities: Tensor, target: Tensor) -> Tensor:
    """Return the focal loss (Lin et al., ICCV 2017) without class weights, as this field's code has it.

    Args:
        probabilities: [B, 2, ...], normal and abnormal.
        target: [B, ...], 1 where the truth is abnormal.

    Returns:
        [B], the mean over each image's places.
    """
    truth = torch.stack([1 - target, target], dim=1).clamp(SMOOTHING, 1 - SMOOTHING)
    chance = (truth * probabilities).sum(dim=1) + SMOOTHING
    # Two channels may add up to a little more than one.
    loss = -((1 - chance).clamp(min=0) ** FOCUS) * chance.log()
    return loss.flatten(1).mean(dim=1) if loss.ndim > 1 else loss


def dice(probability: Tensor, mask: Tensor) -> Tensor:
    """Return the dice loss of each item, 1 - (2 sum(p m) + 1) / (sum p + sum m + 1).

    Args:
        probability: [B, ...] of the state that the mask marks.
        mask: [B, ...] in 0..1.

    Returns:
        [B].
    """
    overlap = 2 * (probability * mask).flatten(1).sum(dim=1) + 1
    total = probability.flatten(1).sum(dim=1) + mask.flatten(1).sum(dim=1) + 1
    return 1 - overlap / total


def map_loss(probabilities: Tensor, mask: Tensor) -> Tensor:
    """Return the sum that the field learns maps by: focal, and dice of the one state and of the other.

    Args:
        probabilities: [B, 2, ...], normal and abnormal.
        mask: [B, ...] in 0..1.

    Returns:
        [B].
    """
    abnormal, normal = probabilities[:, ABNORMAL], probabilities[:, NORMAL]
    return focal(probabilities, mask) + dice(abnormal, mask) + dice(normal, 1 - mask)


def cross_entropy(probability: Tensor, anomalous: Tensor, sharpness: float = 1.0) -> Tensor:
    """Return the cross entropy of image scores.

    Args:
        probability: [B] of the abnormal state, a softmax over two logits.
        anomalous: [B] in {0, 1}.
        sharpness: Factor on the two logits, so on the log-odds: the temperature while scoring divided by
            that while learning.

    Returns:
        [B].
    """
    # Where a probability has reached 0 or 1 in float32, its log-odds stay finite.
    odds = torch.logit(probability, eps=1e-7) * sharpness
    return torch.nn.functional.binary_cross_entropy_with_logits(
        odds, anomalous.to(odds.dtype), reduction="none"
    )
