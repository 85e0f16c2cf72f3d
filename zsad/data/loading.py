"""Items made in worker processes: read, decoded and resized while the towers compute."""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from zsad.errors import ZsadError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Items(Protocol[T_co]):
    """What is made: an item for each place."""

    def __len__(self) -> int:
        """Return the number of items."""

    def __getitem__(self, place: int) -> T_co:
        """Make one item.

        Raises:
            ZsadError: It cannot be made.
        """


def default_workers() -> int:
    """Return how many processes make items: one per core, but for the one that computes; at most 8."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(0, min(8, cores - 1))


class ItemLoader(Generic[T]):
    """Makes items in worker processes, which stay between calls; draws nothing from torch's own generator."""

    def __init__(self, items: Items[T], workers: int) -> None:
        """Prepare; the processes start with the first batch.

        Args:
            items: What to make.
            workers: Processes; 0 makes the items in this one.
        """
        self._order = _Order()
        # Pickled here, because torch would put every tensor into shared memory under a file handle of its
        # own: containers have little of the one, and without the other the workers wait for ever.
        self._loader: DataLoader[Any] = DataLoader(
            _Guarded(items),
            batch_sampler=self._order,
            num_workers=workers,
            collate_fn=pickle.dumps,
            worker_init_fn=_leave_interrupts_to_the_parent,
            persistent_workers=workers > 0,
            generator=torch.Generator(),
        )

    def batches(self, places: Iterable[Sequence[int]]) -> Iterator[list[T | ZsadError]]:
        """Yield the items at ``places``, batch by batch; an item that cannot be made is its error.

        Args:
            places: Batches; workers run ahead of what is yielded. One call at a time.
        """
        self._order.batches = places
        with _interrupts_held_back():
            packed_batches = iter(self._loader)
        for packed in packed_batches:
            yield pickle.loads(packed)


class _Order:
    """Hands the batches of the present call to the loader."""

    def __init__(self) -> None:
        self.batches: Iterable[Sequence[int]] = ()

    def __iter__(self) -> Iterator[list[int]]:
        return (list(places) for places in self.batches)


class _Guarded(TorchDataset[Any]):
    """Returns errors: one that is raised in a worker would come back wrapped in a traceback."""

    def __init__(self, items: Items[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, place: int) -> Any:
        try:
            return self.items[place]
        except ZsadError as error:
            return error


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Hold Ctrl-C back while processes are started: Python loses one that comes in the middle of a fork."""
    if threading.current_thread() is not threading.main_thread():  # only there signals can be dealt with
        yield
        return
    held: list[int] = []
    former = signal.signal(signal.SIGINT, lambda number, frame: held.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former or signal.SIG_DFL)
    if held:
        signal.raise_signal(signal.SIGINT)


def _leave_interrupts_to_the_parent(worker: int) -> None:
    # Ctrl-C reaches the whole process group; a traceback per worker would hide the one sentence that counts.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
