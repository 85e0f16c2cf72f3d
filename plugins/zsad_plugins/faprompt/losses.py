"""The losses of FAPrompt: maps of both looks, image and score, diverse prompts, no shift on normal images."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.errors import InputError
from zsad.training.losses import map_loss
from zsad.training.step import Step
from zsad_plugins.faprompt.options import ImageLossOptions, ScoreLossOptions
from zsad_plugins.faprompt.two_looks import FIRST
from zsad_plugins.standard.scorers import cosine_logits

FOCUS = 2.0


def first_maps(step: Step, options: None) -> Tensor:
    """Return the map losses of the unshifted prompts, [B].

    Raises:
        InputError: There was no first look.
    """
    if not any(entry.name.startswith(FIRST) for entry in step.scores.sets):
        raise InputError(
            "the loss faprompt-first-maps needs scores by the unshifted prompts; choose the conditioner "
            "faprompt.prior and the scorer faprompt.two_looks, or set the loss's weight to 0"
        )
    return _maps(step, first=True)


def maps(step: Step, options: None) -> Tensor:
    """Return the map losses of the prompts as they are scored at last, [B]."""
    return _maps(step, first=False)


def _maps(step: Step, *, first: bool) -> Tensor:
    total = step.mask.new_zeros(len(step.batch))
    for entry, probability in zip(step.scores.sets, step.probability_maps, strict=True):
        if entry.name.startswith(FIRST) == first:
            total = total + map_loss(probability, step.mask)
    return total


def image(step: Step, options: ImageLossOptions) -> Tensor:
    """Return the cross entropy of cos(image feature, text) / temperature, [B]."""
    text = step.conditioning.text_features
    logits = cosine_logits(step.adapted.image_feature[:, None], text, options.temperature)[:, 0]
    return F.cross_entropy(logits.float(), step.batch.anomalous.long(), reduction="none")


def score(step: Step, options: ScoreLossOptions) -> Tensor:
    """Return (1 - c)^2 (-log c), c the probability that the image score gives to the truth, [B].

    Raises:
        InputError: There is no image score.
    """
    if step.scores.image_score is None:
        raise InputError("this method's scorer gives no image score that a loss could learn from")
    found = step.scores.image_score.float()
    target = step.batch.anomalous.to(found.dtype)
    if options.second_sigmoid:
        entropy = F.binary_cross_entropy_with_logits(found, target, reduction="none")
    else:
        entropy = F.binary_cross_entropy(found.clamp(1e-6, 1 - 1e-6), target, reduction="none")
    return (1 - torch.exp(-entropy)) ** FOCUS * entropy


def pairs(step: Step, options: None) -> Tensor:
    """Return the sum over pairs of abnormal prompts of |cos| of their unshifted features, [B].

    Raises:
        InputError: Nothing is known of unshifted prompts.
    """
    provisional = step.conditioning.provisional
    if provisional is None or provisional.conditioning.raw is None:
        raise InputError(
            "the loss faprompt-pairs needs the features of unshifted prompts; choose the conditioner "
            "faprompt.prior, or set the loss's weight to 0"
        )
    # The first prompt is the normal one.
    features = F.normalize(provisional.conditioning.raw[:, 1:], dim=-1)
    cosines = (features @ features.transpose(1, 2)).abs()
    return cosines.triu(diagonal=1).sum((1, 2))


def shift(step: Step, options: None) -> Tensor:
    """Return the sum over the batch's normal images of the mean square of their shift, a scalar.

    Raises:
        InputError: Nothing was shifted.
    """
    found = step.conditioning.intermediates.get("faprompt.shift")
    if found is None:
        raise InputError(
            "the loss faprompt-shift needs the shift of faprompt.prior; choose that conditioner, or set the "
            "loss's weight to 0"
        )
    normal = (~step.batch.anomalous) * step.batch.weights
    return (found.float().square().mean(1) * normal).sum()
