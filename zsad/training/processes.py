"""Several processes that train together, started by ``accelerate launch`` or ``torchrun``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

import torch
from accelerate import PartialState
from accelerate.utils import reduce
from torch import Tensor, nn


def local_device(name: str) -> str:
    """Return the device of this process: with several processes, ``auto`` and ``cuda`` are one GPU each."""
    alone = int(os.environ.get("WORLD_SIZE", "1")) == 1
    if alone or name not in ("auto", "cuda") or not torch.cuda.is_available():
        return name
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}"


def ask_for_one_order() -> None:
    """Have CUDA's matrix products add up in one order; it counts only where CUDA has not begun."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


class Processes:
    """Shares steps among processes, whose gradients are then added up; alone it does nothing.

    Attributes:
        rank: Number of this process.
        count: Of all processes.
    """

    def __init__(self, device: torch.device) -> None:
        self._state = PartialState(cpu=device.type == "cpu")
        self.rank: int = self._state.process_index
        self.count: int = self._state.num_processes

    @property
    def writes(self) -> bool:
        """Whether this is the one process that writes files and messages."""
        return self.rank == 0

    def share(self, places: Sequence[int]) -> list[int]:
        """Return this process's part of a step; with fewer images than processes it may be empty."""
        return list(places[self.rank :: self.count])

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace gradients by their sums over the processes."""
        if self.count == 1:
            return
        for parameter in parameters:
            own = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            parameter.grad = reduce(own, reduction="sum")

    def total(self, values: Tensor) -> Tensor:
        """Return the sum of a tensor over the processes."""
        total: Tensor = values if self.count == 1 else reduce(values, reduction="sum")
        return total

    def wait(self) -> None:
        """Wait until all processes are here."""
        self._state.wait_for_everyone()
