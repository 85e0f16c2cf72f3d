"""Items made in worker processes."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import pytest
import torch

from zsad.data.loading import ItemLoader, _interrupts_held_back
from zsad.errors import InputError, ZsadError


class Numbers:
    """Squares, with the process that made them; 3 cannot be made."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, place: int) -> tuple[int, int, torch.Tensor]:
        if place == 3:
            raise InputError("'3.png' is damaged")
        return place**2, os.getpid(), torch.full((2,), float(place))


def squares(batch: list[Any]) -> list[Any]:
    return [str(entry) if isinstance(entry, ZsadError) else entry[0] for entry in batch]


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_come_in_the_order_asked_for_and_errors_as_values(workers) -> None:
    loader: ItemLoader[Any] = ItemLoader(Numbers(), workers)
    found = list(loader.batches([[5, 1], [3], [7, 7, 2]]))
    assert [squares(batch) for batch in found] == [[25, 1], ["'3.png' is damaged"], [49, 49, 4]]
    assert isinstance(found[1][0], InputError)
    assert torch.equal(found[2][0][2], torch.full((2,), 7.0))
    assert (found[0][0][1] == os.getpid()) == (workers == 0)


def test_workers_stay_between_calls() -> None:
    loader: ItemLoader[Any] = ItemLoader(Numbers(), 2)
    first = {entry[1] for (entry,) in loader.batches([[0], [1], [2], [4]])}
    abandoned = loader.batches([[5], [6], [7], [0]])
    next(abandoned)
    second = [entry for (entry,) in loader.batches([[1], [2]])]
    assert len(first) == 2 and {entry[1] for entry in second} == first
    assert squares(second) == [1, 4]


def test_batches_may_be_thought_of_on_the_way() -> None:
    left = [[0], [1], [2], [4], [5], [6]]
    loader: ItemLoader[Any] = ItemLoader(Numbers(), 1)
    found = loader.batches(left.pop(0) for _ in range(6))
    assert squares(next(found)) == [0]
    assert left  # the workers run ahead, but not to the end
    assert [squares(batch) for batch in found] == [[1], [4], [16], [25], [36]]


@pytest.mark.parametrize("workers", [0, 1])
def test_torch_draws_what_it_would_have_drawn(workers) -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    list(ItemLoader(Numbers(), workers).batches([[0], [1]]))
    assert torch.equal(torch.rand(3), expected)


def test_an_interrupt_during_a_fork_comes_after_it() -> None:
    former, reached = signal.getsignal(signal.SIGINT), False
    with pytest.raises(KeyboardInterrupt), _interrupts_held_back():
        signal.raise_signal(signal.SIGINT)
        reached = True
    assert reached and signal.getsignal(signal.SIGINT) is former


def test_items_can_be_made_beside_the_main_thread() -> None:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.extend(ItemLoader(Numbers(), 1).batches([[0], [1]])))
    thread.start()
    thread.join(30)
    assert [squares(batch) for batch in found] == [[0], [1]]
