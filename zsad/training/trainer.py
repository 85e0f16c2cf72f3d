"""One stage of training: epochs over batches, with the towers frozen."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zsad.backbones.chance import reseed, seeded
from zsad.backbones.precision import full_float32
from zsad.detect.detector import Detector
from zsad.errors import InputError, ZsadError
from zsad.parts import TwoPhaseScorer
from zsad.plugin.host import Host
from zsad.plugin.imports import load_object
from zsad.recipe.resolved import validated_options
from zsad.recipe.training import Training, chosen_losses
from zsad.training.batches import Batch, BatchSource
from zsad.training.generators import FeatureGenerator
from zsad.training.processes import Processes
from zsad.training.step import Step

Precision = Literal["float32", "bfloat16", "float16"]

Loss = Callable[[Step], Tensor]


@dataclass(frozen=True)
class Epoch:
    """What an epoch came to.

    Attributes:
        stage: Number of the stage, counted from 1.
        number: Of the epoch in its stage, counted from 1.
        losses: Mean over the images of every loss, weighted as in the sum; none where a memory was filled.
        images_per_second: Throughput.
        remembered: Lengths of the buffers that were filled, by name.
    """

    stage: int
    number: int
    losses: dict[str, float]
    images_per_second: float = field(compare=False)
    remembered: dict[str, int] = field(default_factory=dict)


class Trainer:
    """Trains parameters of a detector through one stage.

    Attributes:
        detector: The stage's detector; the parameters in ``parameters`` change, nothing else does.
        stage: How to train.
        parameters: What is learned, by name.
        done: Finished epochs.
    """

    def __init__(
        self,
        detector: Detector,
        stage: Training,
        batches: BatchSource,
        parameters: Mapping[str, nn.Parameter],
        *,
        host: Host,
        seed: int,
        number: int = 1,
        precision: Precision = "float32",
        generator: FeatureGenerator | None = None,
        report: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        """Prepare a stage.

        Args:
            detector: The stage's detector.
            stage: How to train.
            batches: The training set as the detector sees it.
            parameters: What is learned, by name.
            host: Knows the losses.
            seed: Seed of everything random.
            number: Of the stage, counted from 1.
            precision: Of the parts that learn.
            generator: Makes features anomalous in every step, or None.
            report: Is called with the images done in the epoch, and their total.

        Raises:
            InputError: A loss is not known, or the precision not possible here.
        """
        self.detector, self.stage, self.parameters = detector, stage, dict(parameters)
        self.number, self.seed, self.done = number, seed, 0
        self._batches, self._generator, self._report = batches, generator, report
        self._device = detector.backbone.device
        self._processes = Processes(self._device)
        self._precision = autocast(precision, self._device)
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=precision == "float16")
        self._losses = stage_losses(host, stage)
        self._optimiser = _optimiser(stage, self.parameters)
        steps = math.ceil(len(batches) / stage.batch_size) * stage.epochs
        self._schedule = _schedule(stage, self._optimiser, steps)
        self._clipped = {
            name: next(norm for pattern, norm in stage.clip_norms.items() if fnmatchcase(name, pattern))
            for name in self.parameters
            if any(fnmatchcase(name, pattern) for pattern in stage.clip_norms)
        }

    def epochs(self) -> Iterator[Epoch]:
        """Train; yield after every epoch, when the detector can be asked and the state be kept.

        Raises:
            ZsadError: A loss or a weight is no longer finite.
        """
        while self.done < self.stage.epochs:
            begun = time.perf_counter()
            losses = self._epoch(self.done + 1)
            if not (all(map(math.isfinite, losses.values())) and self._finite()):
                raise ZsadError(
                    f"training has diverged: losses or weights of epoch {self.done + 1} are not finite; give "
                    f"a learning rate below {self.stage.learning_rate:g} (--lr)"
                )
            if self.detector.text_side is not None:
                self.detector.text_side.forget()
            self.done += 1
            speed = len(self._batches) / (time.perf_counter() - begun)
            yield Epoch(self.number, self.done, losses, speed)

    def state(self) -> dict[str, Any]:
        """Return what a later run needs to go on as if there had been no break."""
        return {
            "done": self.done,
            "parameters": {name: parameter.detach() for name, parameter in self.parameters.items()},
            "optimiser": self._optimiser.state_dict(),
            "scaler": self._scaler.state_dict(),
            "schedule": self._schedule.state_dict() if self._schedule else None,
        }

    @torch.no_grad()
    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a :meth:`state`."""
        self.done = state["done"]
        for name, parameter in self.parameters.items():
            parameter.copy_(state["parameters"][name])
        self._optimiser.load_state_dict(state["optimiser"])
        self._scaler.load_state_dict(state["scaler"])
        if self._schedule:
            self._schedule.load_state_dict(state["schedule"])

    def _finite(self) -> bool:
        return all(bool(parameter.isfinite().all()) for parameter in self.parameters.values())

    def _epoch(self, number: int) -> dict[str, float]:
        count, sums = len(self._batches), dict.fromkeys(self._losses, 0.0)
        # Everything random of an epoch comes from its number: a resumed run draws what an unbroken one does.
        with (
            _reproducible(self._device, self.seed, self.number, number),
            torch.enable_grad(),
            self._learning(),
        ):
            order = torch.split(torch.randperm(count), self.stage.batch_size)
            if self._processes.rank:
                reseed(torch.initial_seed() + self._processes.rank, self._device)
            random = torch.Generator().manual_seed(torch.initial_seed())
            done = 0
            for places in order:
                for name, value in self._step(places.tolist(), random).items():
                    sums[name] += value
                done += len(places)
                self._report(done, count)
        return {name: value / count for name, value in sums.items()}

    @contextmanager
    def _learning(self) -> Iterator[None]:
        """Let gradients reach what is learned, and nothing else of the parts."""
        chosen = set(map(id, self.parameters.values()))
        members = list({*self.detector.parameters(), *self.parameters.values()})
        former = [parameter.requires_grad for parameter in members]
        for parameter in members:
            parameter.requires_grad_(id(parameter) in chosen)
        adapter = self.detector.backbone.adapter
        if adapter is not None:
            adapter.towers.train()
        try:
            yield
        finally:
            if adapter is not None:
                adapter.towers.eval()
            for parameter, before in zip(members, former, strict=True):
                parameter.requires_grad_(before)

    def _step(self, places: list[int], random: torch.Generator) -> dict[str, float]:
        """Learn from a batch; return its losses, each times the number of images."""
        own = self._processes.share(places)
        self._optimiser.zero_grad(set_to_none=True)
        losses = self._learn(own, len(own) / len(places), random) if own else self._no_losses()
        self._processes.add_gradients(self.parameters.values())
        self._clip()
        self._scaler.step(self._optimiser)
        self._scaler.update()
        if self._schedule:
            self._schedule.step()
        totals = self._processes.total(losses * len(own))
        return dict(zip(self._losses, totals.tolist(), strict=True))

    def _clip(self) -> None:
        """Shorten the gradients that are longer than the stage allows."""
        if not self._clipped:
            return
        self._scaler.unscale_(self._optimiser)
        for name, norm in self._clipped.items():
            torch.nn.utils.clip_grad_norm_(self.parameters[name], norm)

    def _no_losses(self) -> Tensor:
        """Return the losses of no images, which the scaler of a process has to see all the same."""
        zeros = torch.zeros(len(self._losses), device=self._device)
        self._scaler.scale(zeros)
        return zeros

    @full_float32()
    def _learn(self, places: list[int], share: float, random: torch.Generator) -> Tensor:
        """Add up the gradients of this process's images; return the losses, one number each."""
        batch = self._batches.batch(places, self._device)
        with self._precision():
            step = self._forward(batch, random)
        values = torch.stack([_averaged(loss(step), step.batch.weights) for loss in self._losses.values()])
        self._scaler.scale(values.sum() * share).backward()  # type: ignore[no-untyped-call]
        return values.detach()

    def _forward(self, batch: Batch, random: torch.Generator) -> Step:
        detector = self.detector
        adapted = detector.adapt(batch.features)
        if self._generator is not None:
            adapted, found = self._generator(adapted, random)
            batch = _with_anomalies(batch, found)
        conditioning = detector.condition(adapted)
        scorer = detector.part("scorer")
        assert not isinstance(scorer, TwoPhaseScorer)  # learned_parameters refuses them
        return Step(batch, adapted, conditioning, scorer(adapted, conditioning), self.stage.maps)


def _with_anomalies(batch: Batch, found: Tensor) -> Batch:
    """Return a batch that is anomalous also where [B, h, w] marks patches."""
    found = found[:, None].to(batch.masks.device, torch.float32)
    made = F.interpolate(found, batch.masks.shape[-2:], mode="nearest")[:, 0] > 0
    return replace(batch, masks=batch.masks | made, anomalous=batch.anomalous | made.flatten(1).any(1))


def _averaged(loss: Tensor, weights: Tensor) -> Tensor:
    """Return the mean of losses per image [B] with their weights; a scalar stays as it is."""
    return loss.float() if loss.ndim == 0 else (loss.float() * weights).mean()


def stage_losses(host: Host, stage: Training) -> dict[str, Loss]:
    """Return a stage's losses, times their weights.

    Raises:
        InputError: An unknown loss, or an option that it does not have; no loss counts.
    """
    found: dict[str, Loss] = {}
    for name, choice in chosen_losses(stage.losses).items():
        spec = host.losses.get(name).spec
        options = validated_options(f"loss '{name}'", spec.options, choice.options)
        function = load_object(spec.function)
        found[name] = partial(_weighted, function, options, choice.weight)
    if not found:
        raise InputError("training.losses: no loss has a weight above 0; there is nothing to learn from")
    return found


def _weighted(function: Callable[[Step, Any], Tensor], options: Any, weight: float, step: Step) -> Tensor:
    return weight * function(step, options)


def _optimiser(stage: Training, parameters: Mapping[str, nn.Parameter]) -> torch.optim.Optimizer:
    """Return the optimiser, with a group for every learning rate."""
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in parameters.items():
        own = (rate for pattern, rate in stage.learning_rates.items() if fnmatchcase(name, pattern))
        groups.setdefault(next(own, stage.learning_rate), []).append(parameter)
    kind = torch.optim.AdamW if stage.optimiser == "adamw" else torch.optim.Adam
    return kind(
        [{"params": members, "lr": rate} for rate, members in groups.items()],
        lr=stage.learning_rate,
        betas=stage.betas,
        weight_decay=stage.weight_decay,
    )


def _schedule(
    stage: Training, optimiser: torch.optim.Optimizer, steps: int
) -> torch.optim.lr_scheduler.LRScheduler | None:
    """Return what changes the rates after every step, or None."""
    if stage.schedule == "cosine":
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    if stage.halve_at:
        return torch.optim.lr_scheduler.MultiStepLR(optimiser, list(stage.halve_at), gamma=0.5)
    return None


def autocast(precision: Precision, device: torch.device) -> Callable[[], torch.autocast]:
    """Return what opens the precision of a step.

    Raises:
        InputError: float16 without a GPU.
    """
    if precision == "float16" and device.type == "cpu":
        raise InputError("--precision float16 needs a GPU; bfloat16 works on the CPU")
    return partial(torch.autocast, device.type, getattr(torch, precision), enabled=precision != "float32")


@contextmanager
def _reproducible(device: torch.device, *numbers: int) -> Iterator[None]:
    """Draw from generator states of its own that follow from the numbers, and add up in one order.

    With several threads, gradients of rows that were picked by index are otherwise summed as threads come.
    """
    enabled = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    with seeded(int(np.random.SeedSequence(numbers).generate_state(1)[0]), device):
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(enabled, warn_only=warns)
