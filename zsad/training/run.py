"""A method's training through all its stages, in a folder from which it can be resumed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from zsad.backbones.card import TrainedOn
from zsad.claim import claimed
from zsad.detect.detector import Detector
from zsad.errors import InputError
from zsad.plugin.host import Host
from zsad.recipe.training import Training
from zsad.training.batches import BatchSource
from zsad.training.cache.key import StoredPrecision
from zsad.training.checkpoint import load_checkpoint, save_checkpoint
from zsad.training.curve import write_curve
from zsad.training.fill import Filler, check_fills
from zsad.training.generators import FeatureGenerator
from zsad.training.learner import (
    carry,
    check_rates,
    learned_parameters,
    learned_state,
    stage_detector,
    weights_card,
)
from zsad.training.processes import Processes
from zsad.training.trainer import Epoch, Precision, Trainer, autocast, stage_losses
from zsad.weights.card_text import write_card_markdown
from zsad.weights.loading import make_room, save_weights

WEIGHTS, CURVE, ADAPTER = "weights.safetensors", "curve.svg", "adapter"


@dataclass(frozen=True)
class Setup:
    """What a run is made of, beside the method.

    Attributes:
        plan: The training.
        open_batches: Returns the batches for a stage's detector.
        source: Key of the training examples and whatever else decides them.
        trained_on: What the card of the learned weights says.
        seed: Seed of everything random.
        precision: Of the parts that learn.
        generator: Makes features anomalous in every step, or None.
        half: Store the learned weights in float16; the checkpoint keeps every digit.
        stored: Precision of the cache of features.
        report: Is called with the images done in an epoch, and their total.
    """

    plan: Training
    open_batches: Callable[[Detector], BatchSource]
    source: str
    trained_on: Sequence[TrainedOn] = ()
    seed: int = 0
    precision: Precision = "float32"
    generator: FeatureGenerator | None = None
    half: bool = False
    stored: StoredPrecision = "exact"
    report: Callable[[int, int], None] = lambda done, total: None


class Run:
    """Learns a detector's parts and keeps weights, checkpoint and learning curve after every epoch.

    Attributes:
        detector: The method; it holds the learned parameters after every epoch.
        folder: Where the files are kept.
        history: The epochs so far, those of a resumed run included.
    """

    def __init__(
        self, detector: Detector, setup: Setup, folder: Path, host: Host, *, resume: bool = False
    ) -> None:
        """Prepare a run.

        Args:
            detector: The method.
            setup: Its data and training.
            folder: Where the run keeps its files.
            host: Knows parts and losses.
            resume: Go on from the folder's checkpoint, if there is one.

        Raises:
            InputError: A stage cannot be trained, or the checkpoint belongs to another run.
        """
        self.detector, self.folder, self.history = detector, folder, list[Epoch]()
        self._setup, self._host = setup, host
        self._identity = identity(detector, setup)
        self._processes = Processes(detector.backbone.device)
        self._kept = load_checkpoint(folder, self._identity) if resume else None
        if self._kept:
            self.history = [Epoch(**entry) for entry in self._kept["history"]]
            check_lengths(setup.plan, self.history, folder)
        # Whatever can be refused in a later stage is, before hours go into the first.
        autocast(setup.precision, detector.backbone.device)
        for number, stage in enumerate(setup.plan.stages, 1):
            learning = stage_detector(detector, stage, host)
            if stage.fill:
                self._check_fill(learning, stage, number)
                continue
            stage_losses(host, stage)
            learned_parameters(learning, stage.learn)
            check_rates(learning, stage)

    @property
    def stages(self) -> int:
        """Number of stages."""
        return len(self._setup.plan.stages)

    @property
    def writes(self) -> bool:
        """Whether this process, of several, is the one that writes files and messages."""
        return self._processes.writes

    def epochs(self) -> Iterator[Epoch]:
        """Train; yield after every epoch, when it is kept.

        Raises:
            InputError: Another process trains into the folder.
            ZsadError: Training diverges, or the folder cannot be written to.
        """
        with claimed(self.folder, "training into") if self.writes else nullcontext():
            yield from self._stages()

    def _stages(self) -> Iterator[Epoch]:
        former: Detector | None = None
        begin = self._kept["stage"] if self._kept else 1
        for number, stage in enumerate(self._setup.plan.stages, 1):
            if number < begin:
                continue
            learning = stage_detector(self.detector, stage, self._host)
            if former is not None:
                carry(former, learning)
            trainer = self._trainer(learning, stage, number)
            if self._kept and number == begin:
                self._restore(learning, trainer, self._kept)
            for epoch in trainer.epochs():
                self.history.append(epoch)
                self._keep(learning, trainer)
                yield epoch
            former = learning

    def _check_fill(self, learning: Detector, stage: Training, number: int) -> None:
        if self._setup.generator is not None:
            raise InputError(
                "--generator: one that changes features in every step has no meaning where a memory is "
                "filled; name one that changes images"
            )
        check_fills(learning, stage, last=number == self.stages)

    def _trainer(self, learning: Detector, stage: Training, number: int) -> Trainer | Filler:
        setup = self._setup
        if stage.fill:
            batches = setup.open_batches(learning)
            return Filler(learning, stage, batches, number=number, report=setup.report)
        return Trainer(
            learning,
            stage,
            setup.open_batches(learning),
            learned_parameters(learning, stage.learn),
            host=self._host,
            seed=setup.seed,
            number=number,
            precision=setup.precision,
            generator=setup.generator,
            report=setup.report,
        )

    def _restore(self, learning: Detector, trainer: Trainer | Filler, kept: Mapping[str, Any]) -> None:
        load_learned(learning, kept["learned"])
        if kept["adapter"] is not None:
            from zsad.weights.adapter.lora import load_adapter_state  # PEFT takes seconds to import

            load_adapter_state(learning.backbone, kept["adapter"])
        trainer.restore(kept["trainer"])
        self._keep_weights(learning)

    def _keep(self, learning: Detector, trainer: Trainer | Filler) -> None:
        if self.writes:
            state = {
                "stage": trainer.number,
                "trainer": trainer.state(),
                "learned": learned_state(learning),
                "adapter": _adapter_state(learning),
                "history": [asdict(epoch) for epoch in self.history],
            }
            save_checkpoint(self.folder, self._identity, state)
        self._keep_weights(learning)
        self._processes.wait()

    def _keep_weights(self, learning: Detector) -> None:
        carry(learning, self.detector)
        if not self.writes:
            return
        if state := learned_state(self.detector):
            path = self.folder / WEIGHTS
            state = {name: _halved(tensor) for name, tensor in state.items()} if self._setup.half else state
            save_weights(path, state, weights_card(self.detector, self._setup.trained_on))
            write_card_markdown(path)
        if self.detector.backbone.adapter is not None:
            from zsad.weights.adapter.lora import save_adapter

            method, seen = self.detector.recipe.method, self._setup.trained_on
            save_adapter(self.detector.backbone, self.folder / ADAPTER, method=method, trained_on=seen)
        if any(epoch.losses for epoch in self.history):
            write_curve(self.folder / CURVE, [asdict(e) | {"epoch": e.number} for e in self.history])


def _halved(tensor: Tensor) -> Tensor:
    return tensor.half() if tensor.is_floating_point() else tensor


def load_learned(detector: Detector, state: Mapping[str, Tensor]) -> None:
    """Load what :func:`zsad.training.learner.learned_state` returned."""
    for part in detector.recipe.learnable:
        prefix = f"{part.key}."
        own = {name.removeprefix(prefix): t for name, t in state.items() if name.startswith(prefix)}
        make_room(detector.parts[part.key], own)
        detector.parts[part.key].load_state_dict(own)


def check_lengths(plan: Training, history: Sequence[Epoch], folder: Path) -> None:
    """Check that epochs which were done count: a stage under way may become longer, and no other one.

    Raises:
        InputError: A stage is to be shorter than it was, or longer after the next one has begun.
    """
    for number, stage in enumerate(plan.stages, 1):
        done = sum(epoch.stage == number for epoch in history)
        over = history[-1].stage > number
        if done > stage.epochs or (over and done != stage.epochs):
            raise InputError(
                f"--resume: the run in {folder} has done {done} epochs of stage {number}"
                f"{' and gone on to the next' if over else ''}, and now it is to have {stage.epochs}; give "
                f"{done}{'' if over else ' or more'}, or another --out"
            )


def identity(detector: Detector, setup: Setup) -> dict[str, Any]:
    """Return all that decides a run's numbers and card but for the number of epochs, as plain data.

    A run with a constant learning rate can be made longer; the cosine's length shapes every step.
    """
    stages = []
    for stage in setup.plan.stages:
        shorter = {"then"} if stage.schedule == "cosine" else {"then", "epochs"}
        stages.append(stage.model_dump(mode="json", exclude=shorter))
    recipe, adapter = detector.recipe, detector.backbone.adapter
    return {
        "method": recipe.method,
        "recipe": recipe.as_dict(),
        "training": {str(number): stage for number, stage in enumerate(stages, 1)},
        "backbone": detector.backbone.sha256,
        "adapter": adapter and adapter.options.model_dump(mode="json"),
        "dtype": recipe.profile.dtype,
        "image_size": recipe.image_size,
        "data": setup.source,
        "seed": setup.seed,
        "precision": setup.precision,
        "cache_dtype": setup.stored,
        "trained_on": [entry.model_dump(mode="json") for entry in setup.trained_on],
    }


def _adapter_state(detector: Detector) -> dict[str, Tensor] | None:
    if detector.backbone.adapter is None:
        return None
    from zsad.weights.adapter.lora import adapter_state

    return adapter_state(detector.backbone)
