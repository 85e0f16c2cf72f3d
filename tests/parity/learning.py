"""One step of a method's own training on the kit's images, before anything has changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from zsad.detect.detector import Detector
from zsad.plugin.host import get_host
from zsad.recipe.training import LossChoice
from zsad.training.batches import Batch
from zsad.training.learner import learned_parameters
from zsad.training.step import Step
from zsad.training.trainer import stage_losses


def losses_and_gradients(
    detector: Detector,
    images: Sequence[Path],
    masks: npt.NDArray[Any],
    labels: npt.NDArray[Any],
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, float]:
    """Return the weighted losses of one batch; their gradients lie at the parameters.

    Args:
        detector: The method, with the weights that the step starts from.
        images: Of the batch.
        masks: [B, S, S], at the detector's image size.
        labels: [B].
        options: Options of losses, where they differ from the recipe's.
    """
    stage = detector.recipe.recipe.training
    choices = {
        name: LossChoice(weight=choice.weight, options={**choice.options, **(options or {}).get(name, {})})
        for name, choice in stage.losses.items()
    }
    stage = stage.model_copy(update={"losses": choices})
    device = detector.backbone.device
    features = detector.encode(list(images))
    batch = Batch(
        features,
        torch.from_numpy(masks > 0).to(device),
        torch.from_numpy(labels > 0).to(device),
        torch.ones(len(features), device=device),
    )
    for parameter in detector.parameters():
        parameter.requires_grad_(False)
    for parameter in learned_parameters(detector, stage.learn).values():
        parameter.requires_grad_(True)
    with torch.enable_grad():
        adapted = detector.adapt(features)
        conditioning = detector.condition(adapted)
        scores = detector.part("scorer")(adapted, conditioning)
        step = Step(batch, adapted, conditioning, scores, stage.maps)
        found = {name: loss(step).mean() for name, loss in stage_losses(get_host(), stage).items()}
        torch.stack(list(found.values())).sum().backward()
    return {name: float(value.detach()) for name, value in found.items()}


def gradients(detector: Detector, names: Mapping[str, str]) -> dict[str, Tensor]:
    """Return the gradients of what was learned, by the names that published code has for it."""
    parameters = learned_parameters(detector)
    found = {}
    for published, own in names.items():
        gradient = parameters[own].grad
        assert gradient is not None, own
        found[published] = gradient.cpu()
    return found
