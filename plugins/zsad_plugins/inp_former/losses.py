"""What the prototypes learn from: that a normal image's patches are near one of them."""

from __future__ import annotations

import torch
from torch import Tensor

from zsad.errors import InputError
from zsad.training.step import Step


def coherence(step: Step, options: None) -> Tensor:
    """Return the mean over the patches of the distance to the nearest prototype, 0 of anomalous images: [B].

    Raises:
        InputError: The scores are not one anomaly channel per patch.
    """
    if not step.scores.sets or any(entry.kind != "anomaly" for entry in step.scores.sets):
        raise InputError(
            "the loss inp-coherence reads one distance per patch; choose the scorer inp-former.prototypes, "
            "or set the loss's weight to 0"
        )
    found = torch.stack([entry.values.flatten(1).mean(1) for entry in step.scores.sets]).mean(0)
    return found * (~step.batch.anomalous).to(found)
