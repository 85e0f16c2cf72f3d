"""The loss of the image memory."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.errors import InputError
from zsad.training.step import Step
from zsad_plugins.mrad.options import ImageLossOptions


def image(step: Step, options: ImageLossOptions) -> Tensor:
    """Return the cross entropy of softmax((1 - p, p) / temperature), p the image score, [B].

    Raises:
        InputError: The scorer gives no image score.
    """
    if step.scores.image_score is None:
        raise InputError("this method's scorer gives no image score that a loss could learn from")
    abnormal = step.scores.image_score.float()
    pair = torch.stack([1 - abnormal, abnormal], dim=1) / options.temperature
    return F.cross_entropy(pair, step.batch.anomalous.long(), reduction="none")
