"""The reader of checkpoints: what it takes, binds and refuses."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from zsad.errors import InputError
from zsad.weights.state import reading


def numbered(*numbers: int) -> dict[str, Any]:
    # In the order of their names: 1, 10, 2.
    return {f"layer.{n}.weight": torch.full((2, 3), float(n)) for n in sorted(numbers, key=str)}


def test_a_run_is_in_the_order_of_its_numbers() -> None:
    with reading(numbered(*range(12)), "Acme") as state:
        assert state.count("layer.{}.weight") == 12
        found = state.run("layer.{}.weight", "outputs inputs")
    assert found[:, 0, 0].tolist() == list(range(12)) and state.sizes == {"outputs": 2, "inputs": 3}


@pytest.mark.parametrize(("numbers", "lacks"), [((0, 2), 1), ((1, 2), 0), ((), 0)])
def test_a_gap_in_a_run_is_named(numbers: tuple[int, ...], lacks: int) -> None:
    with (
        pytest.raises(InputError, match=rf"lacks 'layer\.{lacks}\.weight', which Acme's checkpoints have"),
        reading(numbered(*numbers), "Acme") as state,
    ):
        state.run("layer.{}.weight", "outputs inputs")


def test_a_pattern_counts_numbers_alone() -> None:
    names = ["layer.0.weight", "layer.x.weight", "layer..weight", "layer.1.weight_", "xlayer.1.weight"]
    with reading(dict.fromkeys(names, torch.zeros(1)), "Acme") as state:
        assert state.count("layer.{}.weight") == 1
        state.leave_out("layer", "xlayer")
