"""The field's usual losses, over all score sets of a step."""

from __future__ import annotations

import torch
from torch import Tensor

from zsad.errors import InputError
from zsad.training.losses import cross_entropy, dice, focal
from zsad.training.step import Step
from zsad.values import ABNORMAL, NORMAL
from zsad_plugins.standard.options import DiceOptions, ImageLossOptions


def focal_maps(step: Step, options: None) -> Tensor:
    """Return the sum over the score sets of the focal loss of their maps, [B]."""
    return torch.stack([focal(maps, step.mask) for maps in step.probability_maps]).sum(0)


def dice_maps(step: Step, options: DiceOptions) -> Tensor:
    """Return the sum over the score sets of the dice loss of the abnormal and of the normal state, [B]."""

    def of_items(probability: Tensor, mask: Tensor) -> Tensor:
        if not options.rows:
            return dice(probability, mask)
        return dice(probability.flatten(0, 1), mask.flatten(0, 1)).reshape(mask.shape[:2]).mean(1)

    total = torch.zeros(len(step.batch), device=step.mask.device)
    for maps in step.probability_maps:
        total = total + of_items(maps[:, ABNORMAL], step.mask)
        if options.states == "both":
            total = total + of_items(maps[:, NORMAL], 1 - step.mask)
    return total


def image_cross_entropy(step: Step, options: ImageLossOptions) -> Tensor:
    """Return the cross entropy of the scorer's image scores, [B]."""
    return cross_entropy(_image_score(step), step.batch.anomalous, options.sharpness)


def image_focal(step: Step, options: None) -> Tensor:
    """Return the focal loss of the scorer's image scores, [B]."""
    abnormal = _image_score(step)
    return focal(torch.stack([1 - abnormal, abnormal], dim=1), step.batch.anomalous.to(abnormal.dtype))


def _image_score(step: Step) -> Tensor:
    if step.scores.image_score is None:
        raise InputError("this method's scorer gives no image score that a loss could learn from")
    return step.scores.image_score
