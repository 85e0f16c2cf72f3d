"""The losses of VisualAD: maps, image, and a hinge on its two tokens."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.errors import InputError
from zsad.training.losses import dice, focal
from zsad.training.step import Step
from zsad.values import ABNORMAL, NORMAL
from zsad_plugins.standard.post_processors import top_mean
from zsad_plugins.visualad.contrast import state_tokens
from zsad_plugins.visualad.options import HingeOptions, ImageLossOptions


def contrast_maps(step: Step) -> list[Tensor]:
    """Return every tap's contrast at the masks' size, [B, S, S], bilinear, float32 at least.

    Raises:
        InputError: The scores are not one anomaly channel per patch.
    """
    if not step.scores.sets or any(entry.kind != "anomaly" for entry in step.scores.sets):
        raise InputError(
            "a loss of VisualAD reads one anomaly score per patch; choose the scorer visualad.contrast, or "
            "set the loss's weight to 0"
        )
    side = step.mask.shape[-1]
    found = []
    for entry in step.scores.sets:
        values = entry.values.to(torch.promote_types(entry.values.dtype, torch.float32))
        found.append(F.interpolate(values, (side, side), mode="bilinear", align_corners=False)[:, 0])
    return found


def maps(step: Step, options: None) -> Tensor:
    """Return the sum over the taps of focal([1 - s, s]) + dice(s), s = sigmoid(contrast), [B]."""
    total = step.mask.new_zeros(len(step.batch))
    for values in contrast_maps(step):
        anomalous = torch.sigmoid(values)
        total = total + focal(torch.stack([1 - anomalous, anomalous], dim=1), step.mask)
        total = total + dice(anomalous, step.mask)
    return total


def image(step: Step, options: ImageLossOptions) -> Tensor:
    """Return the cross entropy of the largest pixels' mean of the summed, unsmoothed map, [B]."""
    summed = torch.stack(contrast_maps(step)).sum(0)
    logits = top_mean(summed, options.fraction)
    target = step.batch.anomalous.to(logits.dtype)
    return F.binary_cross_entropy_with_logits(logits, target, reduction="none")


def contrast(step: Step, options: HingeOptions) -> Tensor:
    """Return max(0, cos(a', n') + margin) of the last tap's tokens, [B].

    Raises:
        InputError: There are none.
    """
    tokens = F.normalize(state_tokens(step.adapted.token_sets[-1]), dim=-1)
    cosine = (tokens[:, ABNORMAL] * tokens[:, NORMAL]).sum(-1)
    return (cosine + options.margin).clamp(min=0)
