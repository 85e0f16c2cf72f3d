"""The losses of learned-prompt methods, on probabilities of the two states."""

from __future__ import annotations

import torch
from torch import Tensor

from zsad.values import ABNORMAL, NORMAL

SMOOTHING = 1e-5
FOCUS = 2.0


def focal(probabilities: Tensor, mask: Tensor) -> Tensor:
    """Return the focal loss (Lin et al., ICCV 2017) without class weights, as AnomalyCLIP's code has it.

    Args:
        probabilities: [B, 2, H, W], normal and abnormal.
        mask: [B, H, W], 1 where the image is anomalous.
    """
    target = torch.stack([1 - mask, mask], dim=1).clamp(SMOOTHING, 1 - SMOOTHING)
    truth = (target * probabilities).sum(dim=1) + SMOOTHING
    # Two channels may add up to a little more than one.
    return -((1 - truth).clamp(min=0) ** FOCUS * truth.log()).mean()


def dice(probability: Tensor, mask: Tensor) -> Tensor:
    """Return the dice loss, averaged over the images.

    Args:
        probability: [B, H, W] of the state that the mask marks.
        mask: [B, H, W] in 0..1.
    """
    overlap = 2 * (probability * mask).flatten(1).sum(dim=1) + 1
    total = probability.flatten(1).sum(dim=1) + mask.flatten(1).sum(dim=1) + 1
    return 1 - (overlap / total).mean()


def map_loss(probabilities: Tensor, mask: Tensor) -> Tensor:
    """Return focal plus the dice losses of both states (AnomalyCLIP, section 3.3).

    Args:
        probabilities: [B, 2, H, W].
        mask: [B, H, W].
    """
    abnormal = dice(probabilities[:, ABNORMAL], mask)
    return focal(probabilities, mask) + abnormal + dice(probabilities[:, NORMAL], 1 - mask)


def image_loss(probability: Tensor, anomalous: Tensor) -> Tensor:
    """Return the cross entropy of the image scores.

    Args:
        probability: [B] of the abnormal state.
        anomalous: [B] in {0, 1}.
    """
    own = torch.where(anomalous > 0, probability, 1 - probability)
    return -own.clamp(min=1e-7).log().mean()
