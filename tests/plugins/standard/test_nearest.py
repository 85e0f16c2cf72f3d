from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from torch import Tensor

from zsad_plugins.standard.nearest import coreset, nearest_distance


def unit(count: int, width: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(count, width, generator=generator, dtype=torch.float64), dim=-1)


@given(st.integers(1, 9), st.integers(1, 40), st.integers(1, 4000), st.integers(0, 99))
def test_the_distance_is_that_of_scipy_whatever_room_there_is(
    count: int, keys: int, room: int, seed: int
) -> None:
    queries, held = 3 * unit(count, 5, seed), unit(keys, 5, seed + 1)
    expected = cdist(queries.numpy(), held.numpy(), "cosine").min(1).clip(0)
    found = nearest_distance(queries, held, room=room)
    assert np.allclose(found.numpy(), expected, atol=1e-12)


@given(st.integers(1, 12), st.integers(1, 4000), st.integers(0, 99))
def test_several_neighbours_are_averaged_whatever_room_there_is(
    neighbours: int, room: int, seed: int
) -> None:
    queries, held = unit(7, 5, seed), unit(12, 5, seed + 1)
    expected = np.sort(cdist(queries.numpy(), held.numpy(), "cosine"), axis=1)[:, :neighbours].mean(1)
    found = nearest_distance(queries, held, neighbours, room=room)
    assert np.allclose(found.numpy(), expected, atol=1e-12)


def test_the_leading_axes_of_queries_stay() -> None:
    queries, keys = unit(12, 7, 0), unit(5, 7, 1)
    found = nearest_distance(queries.reshape(2, 3, 2, 7), keys)
    assert found.shape == (2, 3, 2)
    assert torch.equal(found.flatten(), nearest_distance(queries, keys))


def test_a_remembered_direction_is_at_no_distance_and_its_opposite_at_two() -> None:
    key = unit(1, 6, 0)
    assert nearest_distance(torch.cat([5 * key, -key]), key).tolist() == pytest.approx([0, 2], abs=1e-12)


def test_no_more_room_is_taken_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    product = Tensor.__matmul__

    def counted(self: Tensor, other: Tensor) -> Tensor:
        found = product(self, other)
        seen.append(found.numel() * found.element_size())
        return found

    monkeypatch.setattr(Tensor, "__matmul__", counted)
    for count, keys, room in ((100, 30, 1000), (3, 5000, 1000), (1000, 1, 64)):
        nearest_distance(unit(count, 4, 0), unit(keys, 4, 1), room=room)
    assert len(seen) > 3 and max(seen) <= 1000


def farthest_first(keys: np.ndarray, first: int, count: int) -> list[int]:
    """The greedy k-centre choice, with all distances at hand."""
    distances = cdist(keys, keys, "cosine")
    chosen = [first]
    while len(chosen) < count:
        rest = [place for place in range(len(keys)) if place not in chosen]
        chosen.append(max(rest, key=lambda place: distances[place, chosen].min()))
    return chosen


@given(st.integers(1, 30), st.data(), st.integers(0, 99))
def test_a_coreset_takes_the_farthest_key_each_time(size: int, data: st.DataObject, seed: int) -> None:
    count = data.draw(st.integers(1, size))
    keys = unit(size, 6, seed)
    found = coreset(keys, count, seed).tolist()
    assert found == farthest_first(keys.numpy(), found[0], count)


def test_a_coreset_of_all_keys_has_each_once_even_if_they_are_alike() -> None:
    keys = unit(4, 3, 0)[[0, 0, 1, 1, 1, 2, 3]]
    assert sorted(coreset(keys, 7, 0).tolist()) == list(range(7))


def test_the_seed_decides_where_a_coreset_begins() -> None:
    keys = unit(50, 8, 0)
    starts = {int(coreset(keys, 1, seed)) for seed in range(20)}
    assert len(starts) > 5
    assert coreset(keys, 9, 3).tolist() == coreset(keys, 9, 3).tolist()
