"""A method's own training, all stages of its recipe, and what changed by it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tests.training.memory import MemoryBatches
from zsad.backbones.clip import state_digest
from zsad.data.dataset import Dataset
from zsad.detect.detector import Detector
from zsad.plugin.host import get_host
from zsad.recipe.training import Training
from zsad.training.batches import Batch, BatchSource
from zsad.training.learner import carry, learned_parameters, learned_state, stage_detector, weights_card
from zsad.training.trainer import Epoch, Precision, Trainer
from zsad.values import Conditioning, Features, Scores
from zsad.weights.loading import load_weights, save_weights

Open = Callable[[Detector, Dataset], BatchSource]


@dataclass(frozen=True)
class Stage:
    """What a stage did.

    Attributes:
        detector: That learned.
        epochs: Their losses.
        changed: Names of the state that is no longer what it was.
        same: Names of the rest.
    """

    detector: Detector
    epochs: list[Epoch]
    changed: frozenset[str]
    same: frozenset[str]

    @property
    def fell(self) -> bool:
        """Whether the sum of the losses fell from the first to the last epoch."""
        first, last = (sum(epoch.losses.values()) for epoch in (self.epochs[0], self.epochs[-1]))
        return last < first


def learn(
    detector: Detector, dataset: Dataset, *, seed: int = 0, batches: Open = MemoryBatches, **changes: Any
) -> list[Stage]:
    """Run all stages of a detector's recipe, with changes to each; the detector holds what is learned."""
    found = []
    former = detector
    for number, stage in enumerate(detector.recipe.recipe.training.stages, 1):
        plan = stage.model_copy(update=changes)
        learning = stage_detector(detector, plan, get_host())
        carry(former, learning)
        before, towers = copied(learned_state(learning)), tower_digest(learning)
        trainer = trainer_of(learning, plan, batches(learning, dataset), seed=seed, number=number)
        epochs = list(trainer.epochs())
        after = learned_state(learning)
        changed = frozenset(name for name, tensor in after.items() if not torch.equal(tensor, before[name]))
        assert tower_digest(learning) == towers
        carry(learning, detector)
        found.append(Stage(learning, epochs, changed, frozenset(after) - changed))
        former = learning
    return found


def trainer_of(
    learning: Detector,
    plan: Training,
    batches: BatchSource,
    *,
    seed: int = 0,
    number: int = 1,
    precision: Precision = "float32",
) -> Trainer:
    """Return the trainer of a stage's detector."""
    parameters = learned_parameters(learning, plan.learn)
    return Trainer(
        learning,
        plan,
        batches,
        parameters,
        host=get_host(),
        seed=seed,
        number=number,
        precision=precision,
    )


def copied(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in state.items()}


def tower_digest(detector: Detector) -> list[str]:
    """Return the hashes of the towers' weights."""
    text = detector.recipe.text_profile
    towers = [detector.tower, *([] if text is None else [detector.backbone.text_tower(text)])]
    return [state_digest(tower.state_dict()) for tower in towers if tower is not None]


class Chosen:
    """Some images of other batches; the last batch is kept to be looked at.

    Attributes:
        last: The batch that was given out last.
    """

    def __init__(self, batches: BatchSource, places: Sequence[int]) -> None:
        self.batches, self.places = batches, list(places)
        self.last: Batch

    def __len__(self) -> int:
        return len(self.places)

    def batch(self, places: Sequence[int], device: torch.device) -> Batch:
        self.last = self.batches.batch([self.places[place] for place in places], device)
        return self.last


@dataclass(frozen=True)
class First:
    """The first step of a stage, before anything has changed.

    Attributes:
        losses: As the trainer reports them.
        batch: All images.
        adapted: The features behind the adapter.
        conditioning: The text side.
        scores: The scorer's answer.
    """

    losses: dict[str, float]
    batch: Batch
    adapted: Features
    conditioning: Conditioning
    scores: Scores


def first_step(
    detector: Detector,
    dataset: Dataset,
    places: Sequence[int],
    *,
    stage: int = 0,
    open_batches: Open = MemoryBatches,
    precision: Precision = "float32",
) -> First:
    """Take one step with all the images at ``places`` of a dataset, and watch the real parts at it."""
    plan = detector.recipe.recipe.training.stages[stage].model_copy(
        update={"epochs": 1, "batch_size": len(places)}
    )
    learning = stage_detector(detector, plan, get_host())
    batches = Chosen(open_batches(learning, dataset), places)
    seen: list[Any] = []
    condition, scorer = learning.condition, learning.part("scorer")

    def watched_condition(adapted: Features) -> Conditioning:
        seen.extend([adapted, condition(adapted)])
        return seen[-1]

    def watched_scorer(features: Features, conditioning: Conditioning) -> Scores:
        seen.append(scorer(features, conditioning))
        return seen[-1]

    learning.condition = watched_condition  # type: ignore[method-assign]
    learning._built["scorer"] = [watched_scorer]
    (epoch,) = trainer_of(learning, plan, batches, precision=precision).epochs()
    adapted, conditioning, scores = seen
    return First(epoch.losses, batches.last, adapted, conditioning, scores)


def loads_back(detector: Detector, fresh: Detector, dataset: Dataset, path: Path) -> None:
    """Write what a detector learned to a file, and read it into a fresh one of the same method."""
    save_weights(path, learned_state(detector), weights_card(detector, []))
    modules = {part.key: fresh.parts[part.key] for part in fresh.recipe.learnable}
    load_weights(modules, fresh.recipe, path, fresh.backbone.sha256)
    if fresh.text_side is not None:
        fresh.text_side.forget()
    images = [image.image for image in dataset.images[:3]]
    torch.testing.assert_close(fresh.predict(images).anomaly_map, detector.predict(images).anomaly_map)
    torch.testing.assert_close(fresh.predict(images).score, detector.predict(images).score)
