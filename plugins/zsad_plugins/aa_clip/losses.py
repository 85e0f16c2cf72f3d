"""The losses of AA-CLIP's two stages."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from zsad.training.losses import map_loss
from zsad.training.step import Step
from zsad.values import ABNORMAL, NORMAL
from zsad_plugins.aa_clip.options import MapLossOptions


def maps(step: Step, options: MapLossOptions) -> Tensor:
    """Return the sum over the taps of focal(P) + dice(P abnormal, m) + dice(P normal, 1 - m), [B]."""
    chosen = step.probability_maps if options.taps == "all" else step.probability_maps[-1:]
    total = step.mask.new_zeros(len(step.batch))
    for probability in chosen:
        total = total + map_loss(probability, step.mask)
    return total


def orthogonal(step: Step, options: None) -> Tensor:
    """Return the square of the batch's mean of t_normal · t_abnormal, a scalar."""
    text = step.conditioning.text_features
    return (text[:, NORMAL] * text[:, ABNORMAL]).sum(-1).mean().square()


def image(step: Step, options: None) -> Tensor:
    """Return the cross entropy of g · t with the label, [B]."""
    logits = (step.conditioning.text_features @ step.adapted.image_feature[..., None])[..., 0]
    return F.cross_entropy(logits.float(), step.batch.anomalous.long(), reduction="none")
