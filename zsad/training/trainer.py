"""Learn a method's parts on an annotated auxiliary set; the towers stay frozen."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zsad.card import TrainedOn, WeightsCard
from zsad.data.dataset import Dataset
from zsad.detector import Detector
from zsad.errors import InputError, ZsadError
from zsad.recipe import Training
from zsad.training.frozen import FrozenSet
from zsad.training.losses import image_loss, map_loss
from zsad.values import Scores, ScoreSet

REACHED = ("feature_adapter", "prompt_learner", "prompt_conditioner", "scorer")
"""The kinds of parts that stand between frozen features and the scores that the losses see."""


@dataclass(frozen=True)
class Epoch:
    """Mean losses of an epoch.

    Attributes:
        number: Counted from 1.
        losses: By name.
    """

    number: int
    losses: dict[str, float]


class Trainer:
    """Trains the learnable parts of a detector.

    Attributes:
        detector: The detector; its learnable parts change, nothing else does.
        plan: How to train.
    """

    def __init__(self, detector: Detector, frozen: FrozenSet, plan: Training, *, seed: int) -> None:
        self.detector, self.plan = detector, plan
        self._frozen = frozen
        self._parameters = learned_parameters(detector)
        self._random = torch.Generator().manual_seed(seed)
        self._optimiser = torch.optim.Adam(self._parameters.values(), lr=plan.learning_rate, betas=plan.betas)

    def epochs(self) -> Iterator[Epoch]:
        """Train; yield after every epoch, when the detector can be asked.

        Raises:
            ZsadError: A loss or a weight is no longer finite.
        """
        for number in range(1, self.plan.epochs + 1):
            losses = self._epoch()
            if not (all(map(math.isfinite, losses.values())) and self._finite()):
                raise ZsadError(
                    f"training has diverged: losses or weights of epoch {number} are not finite; give a "
                    f"learning rate below {self.plan.learning_rate:g} (--lr)"
                )
            if self.detector.text_side is not None:
                self.detector.text_side.forget()
            yield Epoch(number, losses)

    def _finite(self) -> bool:
        return all(bool(parameter.isfinite().all()) for parameter in self._parameters.values())

    @torch.enable_grad()
    def _epoch(self) -> dict[str, float]:
        shuffled = torch.randperm(len(self._frozen), generator=self._random)
        order = torch.split(shuffled, self.plan.batch_size)
        sums: dict[str, float] = {}
        for places in order:
            losses = self._losses(self._frozen.batch(places.tolist(), self.detector.backbone.device))
            self._optimiser.zero_grad(set_to_none=True)
            torch.stack([*losses.values()]).sum().backward()  # type: ignore[no-untyped-call]
            self._optimiser.step()
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach()) * len(places)
        return {name: value / len(self._frozen) for name, value in sums.items()}

    def _losses(self, batch: FrozenSet) -> dict[str, Tensor]:
        detector, plan = self.detector, self.plan
        adapted = detector.adapt(batch.features)
        scores: Scores = detector.part("scorer")(adapted, detector.condition(adapted))
        if not scores.sets:
            raise InputError(
                f"the scorer of '{detector.recipe.method}' gives no score per patch to learn from"
            )
        mask = batch.masks.float()
        maps = [map_loss(_probabilities(entry, mask.shape[-1]), mask) for entry in scores.sets]
        losses = {"map": plan.map_weight * torch.stack(maps).sum()}
        if scores.image_score is not None and plan.image_weight:
            losses["image"] = plan.image_weight * image_loss(scores.image_score, batch.anomalous)
        return losses


def learned_parameters(detector: Detector) -> dict[str, nn.Parameter]:
    """Return the parameters of the learnable parts by their names in a weights file.

    Raises:
        InputError: The method learns nothing, or something that the losses do not depend on.
    """
    recipe = detector.recipe
    for part in recipe.learnable:
        if part.kind not in REACHED:
            raise InputError(
                f"method '{recipe.method}' cannot be trained yet: '{part.spec.name}' ({part.kind}) learns, "
                f"and training reaches only {', '.join(REACHED)}"
            )
    for part in recipe.of_kind("scorer"):
        if part.spec.two_phase:
            raise InputError(
                f"method '{recipe.method}' cannot be trained: its scorer '{part.spec.name}' scores whole "
                "sets, not batches"
            )
    found = {
        f"{part.key}.{name}": parameter
        for part in recipe.learnable
        for name, parameter in detector.parts[part.key].named_parameters()
    }
    if not found:
        raise InputError(f"method '{recipe.method}' learns nothing")
    return found


def learned_state(detector: Detector) -> dict[str, Tensor]:
    """Return what a weights file holds: the state of the learnable parts, their buffers included."""
    return {
        f"{part.key}.{name}": tensor
        for part in detector.recipe.learnable
        for name, tensor in detector.parts[part.key].state_dict().items()
    }


def weights_card(detector: Detector, datasets: Sequence[Dataset]) -> WeightsCard:
    """Return the card of parameters that were learned on datasets."""
    recipe = detector.recipe
    return WeightsCard(
        method=recipe.method,
        parts={part.key: part.spec.name for part in recipe.learnable},
        profile=recipe.profile.binding(),
        text_activation=recipe.text_profile.activation if recipe.text_profile else None,
        backbone=detector.backbone.sha256,
        origin="own",
        trained_on=tuple(
            TrainedOn(dataset=dataset.name, classes=dataset.classes, manifest=dataset.manifest_hash)
            for dataset in datasets
        ),
    )


def _probabilities(entry: ScoreSet, side: int) -> Tensor:
    """Return a score set as probabilities at the mask's size, [B, 2, S, S]."""
    if entry.kind == "anomaly":
        raise InputError(f"the scores of '{entry.name}' have no two states to be learned")
    values = torch.softmax(entry.values, dim=1) if entry.kind == "logits" else entry.values
    return F.interpolate(values, (side, side), mode="bilinear", align_corners=False)
