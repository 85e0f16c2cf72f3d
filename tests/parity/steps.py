"""One step of a method's training on a kit's images, and its comparison with a golden one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.parity.goldens import AGREEMENTS, MARK, Agreement, Golden, Kit
from tests.training.stages import trainer_of
from zsad.detect.detector import Detector
from zsad.detect.passes import Pass
from zsad.plugin.host import get_host
from zsad.training.batches import Batch
from zsad.training.learner import stage_detector
from zsad.training.step import Step
from zsad.values import Sample

LOSS_MARK = 1e-5
"""Largest relative error of a loss; of a gradient's norm it is that of every array."""


@dataclass(frozen=True)
class KitBatches:
    """The images, masks and labels of a golden step, encoded with gradients."""

    detector: Detector
    samples: Sequence[Sample]
    golden: Golden

    def __len__(self) -> int:
        return len(self.samples)

    def batch(self, places: Sequence[int], device: torch.device) -> Batch:
        (features,) = Pass([self.detector.reading], [self.samples[place] for place in places]).run()
        masks = torch.from_numpy(self.golden.arrays["mask"][list(places)]).bool()
        labels = torch.from_numpy(self.golden.arrays["labels"][list(places)]).bool()
        return Batch(features, masks.to(device), labels.to(device), torch.ones(len(places), device=device))


@dataclass(frozen=True)
class Taken:
    """What a step came to.

    Attributes:
        losses: As the trainer sums them, weighted.
        gradients: By the parameter's name; a parameter that no loss reaches is left out.
        step: What the losses saw.
    """

    losses: Mapping[str, float]
    gradients: Mapping[str, Tensor]
    step: Step


def take_step(
    detector: Detector, kit: Kit, golden: Golden, stage: int = 0, class_names: Sequence[str] | None = None
) -> Taken:
    """Let a stage's trainer add up the gradients of one batch of all images; nothing is updated."""
    plan = detector.recipe.recipe.training.stages[stage]
    learning = stage_detector(detector, plan, get_host())
    samples = learning.samples(kit.image_paths[:3], list(class_names) if class_names else "object")
    trainer = trainer_of(learning, plan, KitBatches(learning, samples, golden))
    seen: list[Step] = []
    forward = trainer._forward

    def watched(batch: Batch, random: torch.Generator) -> Step:
        seen.append(forward(batch, random))
        return seen[-1]

    trainer._forward = watched  # type: ignore[method-assign]
    with torch.enable_grad(), trainer._learning():
        values = trainer._learn([0, 1, 2], 1.0, torch.Generator())
    gradients = {
        name: parameter.grad.detach().cpu()
        for name, parameter in trainer.parameters.items()
        if parameter.grad is not None
    }
    return Taken(dict(zip(trainer._losses, values.tolist(), strict=True)), gradients, seen[0])


def assert_step_agrees(
    golden: Golden,
    losses: Mapping[str, float],
    gradients: Mapping[str, Tensor],
    exact_zero: str = "",
) -> None:
    """Fail unless losses, norms of gradients and full gradients agree with a golden step.

    Args:
        golden: The golden file.
        losses: Under the golden's names.
        gradients: Under the golden's names, each in the golden's shape.
        exact_zero: What a name ends with whose gradient is zero in exact arithmetic.
    """
    arrays = golden.arrays
    wanted = {name: float(array) for name, array in arrays.items() if array.ndim == 0}
    assert losses.keys() == wanted.keys()
    assert dict(losses) == pytest.approx(wanted, rel=LOSS_MARK)
    norms = dict(zip(arrays["grad_names"].tolist(), arrays["grad_norms"].tolist(), strict=True))
    assert gradients.keys() == norms.keys()
    worst = Agreement(golden.name, "", 0.0)
    for name, norm in norms.items():
        if exact_zero and name.endswith(exact_zero):
            continue
        off = abs(float(gradients[name].double().norm()) - norm) / norm
        assert off <= MARK, f"{name}: the gradient's norm is off by {off:.1e}"
        worst = max(worst, Agreement(golden.name, name, off), key=lambda entry: entry.difference)
    for name in (name for name in arrays if name.startswith("grad/")):
        full, mine = arrays[name].astype(np.float64), gradients[name.removeprefix("grad/")].double().numpy()
        off = float(np.abs(mine - full).max()) / float(full.std())
        assert off <= MARK, f"{name} is off by {off:.1e} of its spread"
        worst = max(worst, Agreement(golden.name, name, off), key=lambda entry: entry.difference)
    AGREEMENTS.append(worst)
