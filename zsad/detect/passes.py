"""One pass of a vision tower for all methods that agree in backbone, profile and image size."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from zsad.backbones.memory import available_memory, check_memory
from zsad.backbones.opaque import Tower
from zsad.backbones.precision import full_float32
from zsad.backbones.vision_values import VisionOutput
from zsad.data.preprocess import input_tensor, size_of
from zsad.errors import InputError
from zsad.inputs import InputForm, cut_of
from zsad.parts import Auxiliary, Injector
from zsad.streams import Injection, VisionRequest
from zsad.values import Features, Sample


@dataclass(frozen=True, eq=False)
class Reading:
    """What one method brings to a pass and reads of it.

    Attributes:
        method: Name of the method, for messages.
        shares: Methods that agree in it ride on one pass. One that injects tokens or edits blocks agrees only
            with itself: what its passes hold depends on its learned parameters.
        tower: The vision tower.
        form: What an image is brought to before the tower takes it.
        request: What is read.
        auxiliary: Parts that compute side inputs, each with a text that equal ones have in common.
        injector: The refiner, if it changes the pass.
    """

    method: str
    shares: Hashable
    tower: Tower
    form: InputForm
    request: VisionRequest
    auxiliary: tuple[tuple[str, Auxiliary], ...]
    injector: Injector | None

    @property
    def passes(self) -> int:
        """Passes through the tower per image: one, and a plain one before it where the refiner needs it."""
        return 2 if self.injector is not None and self.injector.needs_prepass else 1

    def check_size(self, height: int, width: int) -> None:
        """Check that there is memory for a resized image; for square ones that is known.

        Raises:
            InputError: There is not.
        """
        if height != width:
            check_memory(self.tower, height, width, available_memory(self.tower.device))

    def cut_of(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return how many rows at the bottom and columns at the right of a resized image are cut."""
        return cut_of(size, self.tower.patch_size, self.form.rule)


class Reader(Protocol):
    """Whatever has a reading: a detector."""

    @property
    def reading(self) -> Reading:
        """What it brings to a pass and reads of it."""


R = TypeVar("R", bound=Reader)


class Pass:
    """One pass over a batch: its input, side inputs and what is injected, and what every method reads of it.

    Equal streams, terms and readouts are computed once, and so are equal side inputs. Gradients are recorded
    if torch is told to: they reach what is learned before or within the pass, such as injected tokens, edits
    of blocks or an adapter of the tower. The plain pass before an injection stays without them.
    """

    def __init__(self, readings: Sequence[Reading], samples: Sequence[Sample]) -> None:
        """Prepare a pass.

        Args:
            readings: Of the methods, all of one group (:func:`group_by_pass`).
            samples: The images.

        Raises:
            InputError: The methods cannot share a pass.
        """
        if len({reading.shares for reading in readings}) != 1:
            names = ", ".join(reading.method for reading in readings)
            raise InputError(
                f"methods {names} differ in backbone, profile or image size and cannot share a pass"
            )
        self._readings, self._samples = readings, samples
        self._first = readings[0]

    @full_float32()
    def run(self) -> list[Features]:
        """Return one set of features per method, in their order, in float32 (float64 from a float64 tower).

        Raises:
            InputError: Two side inputs of one name clash, or a request does not fit the tower.
        """
        injected, prepass = self._injection()
        requests = [reading.request for reading in self._readings]
        outputs = self._first.tower(self._pixels, requests, self._auxiliary, injected)
        return [self._features(output, prepass) for output in outputs]

    @cached_property
    def _pixels(self) -> Tensor:
        first = self._first
        for size in {size_of(sample, first.form) for sample in self._samples}:
            first.check_size(*size)
        return input_tensor(self._samples, first.form, first.tower.patch_size).to(first.tower.device)

    @cached_property
    def _auxiliary(self) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        sources: dict[str, str] = {}
        for identity, part in dict(entry for each in self._readings for entry in each.auxiliary).items():
            for name, tensor in part(self._samples, self._pixels).items():
                if name in found:
                    raise InputError(f"both {sources[name]} and {identity} compute the side input '{name}'")
                found[name], sources[name] = tensor, identity
        return found

    def _injection(self) -> tuple[Injection | None, Tensor | None]:
        """Return what is injected and the image feature [B, C] of the plain pass, where there is one."""
        injector = self._first.injector
        if injector is None:
            return None, None
        if not injector.needs_prepass:
            return injector.inject(None), None
        with torch.no_grad():
            plain = VisionRequest(cls_ln_post=self._first.request.cls_ln_post)
            (output,) = self._first.tower(self._pixels, [plain])
            before = self._features(output, None)
        return injector.inject(before), before.image_feature

    def _features(self, output: VisionOutput, prepass: Tensor | None) -> Features:
        return Features(
            tuple(entry.mapped(_float) for entry in output.token_sets),
            _float(output.image_feature),
            tuple(sample.class_name for sample in self._samples),
            (self._pixels.shape[2], self._pixels.shape[3]),
            self._auxiliary,
            prepass,
            tuple(_name(sample, number) for number, sample in enumerate(self._samples, 1)),
            self._first.cut_of(size_of(self._samples[0], self._first.form)),
        )


def group_by_pass(readers: Sequence[R]) -> list[list[R]]:
    """Group methods that can share a pass, in the order of their first member."""
    groups: dict[Hashable, list[R]] = {}
    for reader in readers:
        groups.setdefault(reader.reading.shares, []).append(reader)
    return list(groups.values())


@torch.no_grad()
def encode_together(readers: Sequence[Reader], samples: Sequence[Sample]) -> list[Features]:
    """Encode samples for several methods in one pass, without gradients.

    Args:
        readers: Methods of one group (:func:`group_by_pass`).
        samples: The images.

    Returns:
        One set of features per method, in their order.

    Raises:
        InputError: The methods do not share their passes, or their side inputs clash.
    """
    return Pass([reader.reading for reader in readers], samples).run()


def _name(sample: Sample, number: int) -> str:
    return f"image {number}" if sample.path is None else str(sample.path)


def _float(tensor: Tensor) -> Tensor:
    return tensor if tensor.dtype == torch.float64 else tensor.float()
