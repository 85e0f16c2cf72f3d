"""A stage that fills labelled memories: one pass over the examples, no gradients."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from zsad.backbones.precision import full_float32
from zsad.detect.detector import Detector
from zsad.errors import InputError
from zsad.parts import LabelledMemory
from zsad.recipe.training import Training
from zsad.training.batches import BatchSource
from zsad.training.trainer import Epoch


class Filler:
    """Fills the memories of a detector in one pass, in the order of the examples.

    The memories change when all examples have been seen and not before, so that a broken pass leaves nothing
    behind. Of several processes each does the whole pass, with the same result.

    Attributes:
        detector: The stage's detector.
        number: Of the stage, counted from 1.
        done: Finished passes, 0 or 1.
    """

    def __init__(
        self,
        detector: Detector,
        stage: Training,
        batches: BatchSource,
        *,
        number: int = 1,
        report: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        """Prepare the pass.

        Args:
            detector: The stage's detector.
            stage: Its batch size counts.
            batches: The training set as the detector sees it.
            number: Of the stage, counted from 1.
            report: Is called with the images done, and their total.

        Raises:
            InputError: The method has no memory.
        """
        self.detector, self.number, self.done = detector, number, 0
        self._batches, self._size, self._report = batches, stage.batch_size, report
        self._memories = memories(detector)

    def epochs(self) -> Iterator[Epoch]:
        """Fill the memories; yield once, when they are.

        Raises:
            InputError: There is nothing to remember of one of the states.
        """
        if self.done:
            return
        begun = time.perf_counter()
        lengths = self._fill()
        self.done = 1
        speed = len(self._batches) / (time.perf_counter() - begun)
        yield Epoch(self.number, 1, {}, speed, lengths)

    def state(self) -> dict[str, Any]:
        """Return what a later run needs to go on; the memories themselves are among what is learned."""
        return {"done": self.done}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a :meth:`state`."""
        self.done = state["done"]

    @torch.no_grad()
    @full_float32()
    def _fill(self) -> dict[str, int]:
        count = len(self._batches)
        kept: dict[str, list[Any]] = {key: [] for key in self._memories}
        for low in range(0, count, self._size):
            places = range(low, min(low + self._size, count))
            batch = self._batches.batch(places, self.detector.backbone.device)
            adapted = self.detector.adapt(batch.features)
            for key, memory in self._memories.items():
                kept[key].append(memory.remember(adapted, batch.masks, batch.anomalous))
            self._report(places.stop, count)
        for key, memory in self._memories.items():
            memory.fill(kept[key])
        return {
            f"{key}.{name}": len(tensor)
            for key in self._memories
            for name, tensor in self.detector.parts[key].named_buffers()
        }


def memories(detector: Detector) -> dict[str, LabelledMemory[Any]]:
    """Return the labelled memories of a method, by the keys of their parts.

    Raises:
        InputError: It has none.
    """
    found: dict[str, LabelledMemory[Any]] = {}
    for part in detector.recipe.learnable:
        module: Any = detector.parts[part.key]
        if isinstance(module, LabelledMemory):
            found[part.key] = module
    if not found:
        raise InputError(
            f"training.fill: method '{detector.recipe.method}' has no labelled memory that a pass could fill"
        )
    return found


def check_fills(detector: Detector, stage: Training, *, last: bool) -> None:
    """Check that a stage that fills memories can, and is not told what has no meaning in it.

    Args:
        detector: The stage's detector.
        stage: The stage.
        last: Whether no other stage follows.

    Raises:
        InputError: The method has no memory, more than one pass is wanted, or a learning rate where nothing
            descends, or an adapter would change what is remembered.
    """
    memories(detector)
    if stage.epochs != 1:
        raise InputError(
            f"training.epochs: a memory is filled in one pass, not in {stage.epochs}; leave it at 1"
            + ("" if last else ", and give the length of the next stage by --set training.then.epochs=N")
        )
    if last and "learning_rate" in stage.model_fields_set:
        raise InputError("training.learning_rate: filling a memory descends no gradient; leave it out")
    if detector.backbone.adapter is not None:
        raise InputError(
            f"--adapter: method '{detector.recipe.method}' remembers features, which an adapter that learns "
            "would change; leave it out"
        )
