"""Reading authors' checkpoints: which keys there have to be, of what shapes, and nothing left over.

An importer names what it takes; whatever it does not name or leave out by name is refused at the end, so that
no checkpoint of another method passes for its own. Sizes are bound to names as they are met, as in einops:
every ``width`` of a checkpoint has to be the same number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from zsad.backbones.tensors import levels, state_in, unprefixed
from zsad.errors import InputError


class StateReader:
    """The tensors of a checkpoint, taken one by one.

    Attributes:
        method: Whose checkpoint it should be, for messages.
        sizes: Sizes by name, as far as they are known.
    """

    def __init__(self, tensors: Mapping[str, Any], method: str) -> None:
        self.method = method
        self.sizes: dict[str, int] = {}
        self._left = dict(tensors)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of what nobody has taken or left out yet."""
        return tuple(map(str, self._left))

    def take(self, key: str, shape: str) -> Tensor:
        """Take a tensor.

        Args:
            key: Its name in the checkpoint.
            shape: Its axes, separated by spaces: a number, a name, or a product (``"3*width width"``). A name
                that is met first is bound.

        Returns:
            float32, of its own memory; axes written as ``1`` are dropped from the front.

        Raises:
            InputError: It is missing, no tensor, or of another shape.
        """
        if key not in self._left:
            raise InputError(f"it lacks '{key}', which {self.method}'s checkpoints have")
        tensor = self._left.pop(key)
        if not isinstance(tensor, Tensor):
            raise InputError(f"'{key}' is no tensor")
        self._check(key, tuple(tensor.shape), shape.split())
        leading = next((place for place, axis in enumerate(shape.split()) if axis != "1"), 0)
        return tensor.reshape(tensor.shape[leading:]).float().clone()

    def stack(self, keys: Sequence[str], shape: str) -> Tensor:
        """Take several tensors of one shape and stack them, [n, ...].

        Raises:
            InputError: As :meth:`take`.
        """
        return torch.stack([self.take(key, shape) for key in keys])

    def run(self, pattern: str, shape: str, *, at_least: int = 1) -> Tensor:
        """Take the tensors of names that a number counts through from 0, and stack them, [n, ...].

        Args:
            pattern: The names, with ``{}`` where the number stands.
            shape: As for :meth:`take`.
            at_least: How many there have to be.

        Raises:
            InputError: As :meth:`take`.
        """
        return self.stack(
            [pattern.format(number) for number in range(max(at_least, self.count(pattern)))], shape
        )

    def count(self, pattern: str) -> int:
        """Return how many names there are of a pattern, with a number for its ``{}``."""
        name = re.compile(re.escape(pattern).replace(r"\{\}", "[0-9]+"))
        return sum(name.fullmatch(str(key)) is not None for key in self._left)

    def layer(self, name: str, shape: str, *, bias: bool = True) -> dict[str, Tensor]:
        """Take a layer's ``weight``, and its ``bias`` over the first axis.

        Args:
            name: The layer's name in the checkpoint, without ``.weight``.
            shape: Axes of the weight.
            bias: Whether it has a bias.

        Raises:
            InputError: As :meth:`take`.
        """
        found = {"weight": self.take(f"{name}.weight", shape)}
        if bias:
            found["bias"] = self.take(f"{name}.bias", shape.split()[0])
        return found

    def leave_out(self, *prefixes: str) -> None:
        """Say which other entries the method's checkpoints may have and inference does not read."""
        self._left = {key: value for key, value in self._left.items() if not str(key).startswith(prefixes)}

    def finish(self) -> None:
        """Check that nothing is left.

        Raises:
            InputError: An entry is left that nobody has named.
        """
        for key in self._left:
            raise InputError(f"it has '{key}', which {self.method}'s checkpoints have not")

    def _check(self, key: str, found: tuple[int, ...], axes: Sequence[str]) -> None:
        known = dict(self.sizes)
        fits = len(found) == len(axes)
        for axis, size in zip(axes, found, strict=False):
            factor, _, name = axis.rpartition("*")
            times = int(factor or 1)
            if name.isdecimal():
                fits &= size == times * int(name)
            elif name in known:
                fits &= size == times * known[name]
            else:
                fits &= size % times == 0
                known[name] = size // times
        if not fits:
            wanted = ", ".join(self._said(axis) for axis in axes)
            raise InputError(f"'{key}' has the shape {found} instead of ({wanted})")
        self.sizes = known

    def _said(self, axis: str) -> str:
        factor, _, name = axis.rpartition("*")
        return str(int(factor or 1) * self.sizes[name]) if name in self.sizes else axis


@contextmanager
def reading(checkpoint: Any, method: str, entry: str | None = None) -> Iterator[StateReader]:
    """Read a checkpoint; at the end whatever nobody has taken or left out is refused.

    Args:
        checkpoint: What :func:`zsad.backbones.tensors.read_tensors` gave. The state dict may lie a few levels
            deep, under a whole model's names (``ENTRY.NAME``), or with DataParallel's prefixes.
        method: Whose checkpoint it should be, for messages.
        entry: The entry that holds the state dict, or None where the checkpoint is one.

    Raises:
        InputError: Not a checkpoint of the method.
    """
    state = _entry(checkpoint, entry) if entry is not None else state_in(checkpoint)
    if entry is None and state is None and isinstance(checkpoint, Mapping):
        state = checkpoint  # without a tensor; the reader says which one it lacks first
    if state is None:
        if entry is None:
            raise InputError(f"it is no state dict, as {method}'s checkpoints are")
        raise InputError(f"it has no entry '{entry}', which {method}'s checkpoints have")
    reader = StateReader(state, method)
    yield reader
    reader.finish()


def _entry(checkpoint: Any, entry: str) -> Mapping[str, Any] | None:
    """Return an entry's state dict, wherever it lies; the outermost one counts."""
    for level in levels(checkpoint):
        if isinstance(level.get(entry), Mapping):
            return unprefixed(level[entry])
        names = unprefixed(level)
        own = {
            str(k).removeprefix(f"{entry}."): v for k, v in names.items() if str(k).startswith(f"{entry}.")
        }
        if own:
            return own
    return None
