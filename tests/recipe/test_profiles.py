from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from zsad.errors import InputError
from zsad.recipe.profiles import Depth, DepthValue, Readout, TowerProfile


@pytest.mark.parametrize(
    ("fraction", "depth", "block"),
    [("1/4", 24, 6), ("1/4", 12, 3), ("1/4", 10, 3), ("1/4", 9, 2), ("1/8", 4, 1), ("0", 7, 1), ("1", 5, 5)],
)
def test_halves_are_rounded_up(fraction: str, depth: int, block: int) -> None:
    assert Depth(fraction=fraction).resolve(depth) == block


@given(st.fractions(0, 1), st.integers(1, 80))
def test_a_share_stays_in_the_tower_and_is_the_nearest_block(share: Fraction, depth: int) -> None:
    block = Depth(fraction=str(share)).resolve(depth)
    assert 1 <= block <= depth
    assert abs(block - share * depth) <= (Fraction(1, 2) if share * depth >= Fraction(1, 2) else 1)


@given(st.fractions(0, 1), st.fractions(0, 1), st.integers(1, 80))
def test_deeper_shares_are_never_shallower(one: Fraction, other: Fraction, depth: int) -> None:
    low, high = (Depth(fraction=str(share)).resolve(depth) for share in sorted((one, other)))
    assert low <= high


def test_a_published_depth_wins_over_the_share() -> None:
    depth = Depth(fraction="1/4", at={24: 7})
    assert (depth.resolve(24), depth.resolve(12)) == (7, 3)


class Holder(BaseModel):
    start: DepthValue


@pytest.mark.parametrize(
    ("given", "block"),
    [
        (1, 1),
        ("1", 8),
        (1.0, 8),
        (0.25, 2),
        ("1/4", 2),
        ({"block": 3}, 3),
        ({"fraction": "1", "at": {8: 5}}, 5),
    ],
)
def test_spellings(given: object, block: int) -> None:
    assert Holder.model_validate({"start": given}).start.resolve(8) == block


@pytest.mark.parametrize(
    "given", ["half", "1/0", "3/2", "-1/4", True, {}, {"at": {8: 1}}, {"frac": "1"}, None]
)
def test_what_is_no_depth_is_refused_when_it_is_written(given: object) -> None:
    with pytest.raises(ValidationError):
        Holder.model_validate({"start": given})


@pytest.mark.parametrize("block", [0, 9])
def test_a_block_outside_the_tower_is_an_input_error(block: int) -> None:
    with pytest.raises(InputError, match=f"block {block} is outside the tower of 8 blocks"):
        Readout(taps=(Depth(block=block),)).blocks(8)


def test_weights_are_bound_to_every_number_but_precision() -> None:
    profile = TowerProfile(activation="gelu", position_embedding="bicubic", dtype="bfloat16", adapter="ab12")
    assert set(profile.binding()) == set(TowerProfile.model_fields) - {"dtype", "injected"}
