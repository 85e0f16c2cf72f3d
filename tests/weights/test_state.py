"""Reading checkpoints: what is taken, what it has to look like, and that nothing is left over."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from zsad.errors import InputError
from zsad.weights.state import StateReader, reading


def reader(**tensors: Any) -> StateReader:
    """A reader of tensors whose dots are written as two underscores."""
    return StateReader({name.replace("__", "."): value for name, value in tensors.items()}, "Acme")


def test_a_tensor_comes_as_float32_of_its_own_memory() -> None:
    for dtype in (torch.float16, torch.float32, torch.float64):
        given_ = torch.arange(6, dtype=dtype).reshape(2, 3)
        found = reader(a=given_).take("a", "2 3")
        assert found.dtype == torch.float32 and found.tolist() == [[0, 1, 2], [3, 4, 5]]
        found += 1
        assert given_.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_view_does_not_keep_what_it_was_cut_from() -> None:
    found = reader(a=torch.randn(100, 3)[:2]).take("a", "2 3")
    assert found.untyped_storage().nbytes() == 2 * 3 * 4


@pytest.mark.parametrize(
    ("shape", "axes", "left"),
    [
        ((1, 1, 5, 7), "1 1 tokens width", (5, 7)),
        ((1, 5), "1 tokens", (5,)),
        ((1, 5), "one tokens", (1, 5)),
        ((5, 1), "tokens 1", (5, 1)),
        ((1, 5, 1, 7), "1 tokens 1 width", (5, 1, 7)),
        ((1, 1), "1 1", (1, 1)),
        ((), "", ()),
    ],
)
def test_leading_ones_are_dropped(shape: tuple[int, ...], axes: str, left: tuple[int, ...]) -> None:
    values = torch.randn(shape)
    found = reader(a=values).take("a", axes)
    assert found.shape == left and torch.equal(found.flatten(), values.flatten())


def test_a_size_is_bound_where_it_is_met_first() -> None:
    state = reader(a=torch.zeros(4, 6), b=torch.zeros(6), c=torch.zeros(18, 6), d=torch.zeros(5, 4))
    state.take("a", "outputs inputs")
    assert state.sizes == {"outputs": 4, "inputs": 6}
    state.take("b", "inputs")
    state.take("c", "3*inputs inputs")
    with pytest.raises(InputError, match=r"'d' has the shape \(5, 4\) instead of \(4, 4\)"):
        state.take("d", "outputs outputs")


def test_a_name_twice_in_one_shape_is_one_size() -> None:
    with pytest.raises(InputError, match=r"'a' has the shape \(4, 5\) instead of \(width, width\)"):
        reader(a=torch.zeros(4, 5)).take("a", "width width")
    assert reader(a=torch.zeros(4, 4)).take("a", "width width").shape == (4, 4)


def test_a_shape_that_does_not_fit_binds_nothing() -> None:
    state = reader(a=torch.zeros(4, 5, 6), b=torch.zeros(2, 3))
    with pytest.raises(InputError):
        state.take("a", "width height")
    assert state.sizes == {} and state.take("b", "width height").shape == (2, 3)


@pytest.mark.parametrize(
    ("shape", "axes", "wanted"),
    [
        ((3, 4), "3", "3"),
        ((3,), "3 4", "3, 4"),
        ((3, 5), "3 4", "3, 4"),
        ((7, 2), "3*width width", "3*width, width"),  # not a multiple
        ((6, 3), "3*width width", "3*width, width"),  # a multiple of another size
        ((), "width", "width"),
    ],
)
def test_another_shape_is_said_with_what_is_known(shape: tuple[int, ...], axes: str, wanted: str) -> None:
    sentence = re.escape(f"'a' has the shape {shape} instead of ({wanted})")
    with pytest.raises(InputError, match=f"^{sentence}$"):
        reader(a=torch.zeros(shape)).take("a", axes)


def test_a_product_binds_its_name_and_is_checked_by_it() -> None:
    state = reader(qkv=torch.zeros(12, 4), out=torch.zeros(4, 4), other=torch.zeros(9, 4))
    state.take("qkv", "3*width inputs")
    assert state.sizes["width"] == 4
    state.take("out", "width inputs")
    with pytest.raises(InputError, match=r"\(9, 4\) instead of \(12, 4\)"):
        state.take("other", "3*width inputs")


@given(
    width=st.integers(1, 9),
    times=st.integers(1, 4),
    tokens=st.integers(1, 9),
    off=st.integers(-8, 8),
)
def test_sizes_hold_for_any_numbers(width: int, times: int, tokens: int, off: int) -> None:
    other = max(1, times * width + off)
    state = reader(a=torch.zeros(tokens, width), b=torch.zeros(other, tokens))
    state.take("a", "tokens width")
    shape = f"{times}*width tokens"
    if other == times * width:
        assert state.take("b", shape).shape == (other, tokens)
    else:
        wanted = re.escape(f"({other}, {tokens}) instead of ({times * width}, {tokens})")
        with pytest.raises(InputError, match=wanted):
            state.take("b", shape)


def test_what_is_missing_or_no_tensor_is_named() -> None:
    with pytest.raises(InputError, match=r"^it lacks 'b', which Acme's checkpoints have$"):
        reader(a=torch.zeros(1)).take("b", "1")
    with pytest.raises(InputError, match=r"^it lacks 'b', which Acme's checkpoints have$"):
        reader(a=torch.zeros(1)).raw("b")
    for value in ([1.0], 3, None, "a"):
        with pytest.raises(InputError, match=r"^'a' is no tensor$"):
            reader(a=value).take("a", "1")


def test_stacked_tensors_have_one_shape() -> None:
    state = reader(a=torch.zeros(1, 2, 3), b=torch.ones(1, 2, 3), c=torch.ones(1, 2, 4))
    assert state.stack(("a", "b"), "1 tokens width").mean((1, 2)).tolist() == [0, 1]
    with pytest.raises(InputError, match=r"'c' has the shape \(1, 2, 4\) instead of \(1, 2, 3\)"):
        state.stack(("c",), "1 tokens width")


def test_a_run_is_what_a_number_counts_through() -> None:
    state = reader(**{f"deep__{n}": torch.full((2, 3), float(n)) for n in (2, 0, 1)})
    assert state.count("deep.{}") == 3
    assert state.run("deep.{}", "tokens width")[:, 0, 0].tolist() == [0, 1, 2]
    assert state.count("deep.{}") == 0


def test_a_gap_in_a_run_is_named() -> None:
    state = reader(**{f"deep__{n}": torch.zeros(2) for n in (0, 1, 3)})
    assert state.count("deep.{}") == 3
    with pytest.raises(InputError, match=r"^it lacks 'deep.2', which Acme's checkpoints have$"):
        state.run("deep.{}", "width")


def test_only_names_with_a_number_in_place_count() -> None:
    names = ("deep__0", "deep__1__bias", "deepx0", "deep__", "deep__one", "a__deep__1", "deep__-1")
    state = reader(**{name: torch.zeros(2) for name in names})
    assert state.count("deep.{}") == 1 and state.count("deep.{}.bias") == 1
    assert StateReader({"a+0": 1, "aa0": 2}, "Acme").count("a+{}") == 1


@given(present=st.sets(st.integers(0, 7)), at_least=st.integers(1, 5))
def test_runs_of_any_numbers(present: set[int], at_least: int) -> None:
    state = reader(**{f"deep__{n}": torch.tensor([float(n)]) for n in present})
    unbroken = next(n for n in range(9) if n not in present)
    if unbroken < max(at_least, len(present)):
        with pytest.raises(InputError, match=f"it lacks 'deep.{unbroken}'"):
            state.run("deep.{}", "one", at_least=at_least)
        return
    assert state.run("deep.{}", "one", at_least=at_least).flatten().tolist() == list(range(unbroken))
    state.finish()


def test_a_layer_has_its_bias_over_the_first_axis() -> None:
    state = reader(fc__weight=torch.zeros(4, 6), fc__bias=torch.zeros(4), no__weight=torch.zeros(6, 4))
    assert {leaf: tuple(t.shape) for leaf, t in state.layer("fc", "out in").items()} == {
        "weight": (4, 6), "bias": (4,)
    }  # fmt: skip
    assert list(state.layer("no", "in out", bias=False)) == ["weight"]
    state.finish()
    with pytest.raises(InputError, match=r"'fc.bias' has the shape \(6,\) instead of \(4\)"):
        reader(fc__weight=torch.zeros(4, 6, 3, 3), fc__bias=torch.zeros(6)).layer("fc", "out in 3 3")
    with pytest.raises(InputError, match=r"it lacks 'fc.bias'"):
        reader(fc__weight=torch.zeros(4, 6)).layer("fc", "out in")


def test_what_is_left_out_by_name_is_no_rest() -> None:
    state = reader(a=torch.zeros(1), clip__w=torch.zeros(1), clip2=torch.zeros(1), text__w=0)
    state.leave_out("clip.", "text.")
    state.take("a", "1")
    with pytest.raises(InputError, match=r"^it has 'clip2', which Acme's checkpoints have not$"):
        state.finish()
    assert not state.has("a") and not state.has("clip.w") and state.has("clip2")


def test_an_entry_can_be_taken_as_it_is() -> None:
    state = reader(step=7)
    assert state.raw("step") == 7
    state.finish()


def test_names_that_are_no_text_are_left_over_too() -> None:
    state = StateReader({0: torch.zeros(1)}, "Acme")  # type: ignore[dict-item]
    state.leave_out("clip.")
    with pytest.raises(InputError, match="it has '0'"):
        state.finish()


@pytest.mark.parametrize(
    ("checkpoint", "entry", "sentence"),
    [
        ([1], None, "it is no state dict, which Acme's checkpoints have"),
        (None, "net", "it has no entry 'net', which Acme's checkpoints have"),
        ([1], "net", "it has no entry 'net', which Acme's checkpoints have"),
        ({"other": {}}, "net", "it has no entry 'net', which Acme's checkpoints have"),
        ({"net": torch.zeros(1)}, "net", "it has no entry 'net', which Acme's checkpoints have"),
    ],
)
def test_another_checkpoint_is_refused(checkpoint: Any, entry: str | None, sentence: str) -> None:
    with pytest.raises(InputError, match=f"^{sentence}$"), reading(checkpoint, "Acme", entry):
        pass


def test_the_rest_is_refused_at_the_end_even_where_the_importer_has_returned() -> None:
    def convert(checkpoint: Any) -> torch.Tensor:
        with reading(checkpoint, "Acme", "net") as state:
            return state.take("a", "n")

    assert convert({"net": {"a": torch.ones(2)}, "epoch": 3}).tolist() == [1, 1]
    with pytest.raises(InputError, match="it has 'b'"):
        convert({"net": {"a": torch.ones(2), "b": torch.ones(2)}})


def test_what_an_importer_raises_is_not_hidden_by_the_rest() -> None:
    with pytest.raises(InputError, match="it lacks 'a'"), reading({"b": torch.ones(1)}, "Acme") as state:
        state.take("a", "n")


def test_the_checkpoint_stays_as_it_was() -> None:
    checkpoint = {"net": {"a": torch.ones(2), "b": torch.ones(2)}}
    with reading(checkpoint, "Acme", "net") as state:
        state.take("a", "n")
        state.leave_out("b")
    assert list(checkpoint["net"]) == ["a", "b"]
