"""Caches are told apart by everything that decides their bytes, and by nothing else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from zsad.errors import InputError
from zsad.streams import SelfAttention, Stream, TokenRequest, VisionRequest, WindowRequest
from zsad.training.cache.key import _states, describe, key_of, plain, reading_of

SIZES: dict[str, Any] = {"images": 10, "batch_size": 8, "shard_size": 64, "dtype": "exact"}


def key(detector, source: str = "a", **changed: Any) -> str:
    return key_of(describe(detector, source, **(SIZES | changed)))


def test_whatever_changes_the_bytes_changes_the_key(load) -> None:
    base = key(load())
    others = [
        key(load("anomalyclip", "readout.taps=[2, 4]")),
        key(load("anomalyclip", "readout.cls_ln_post=true")),
        key(load("anomalyclip", "attention_refiner.pairs=[qq, kk, vv]")),
        key(load("anomalyclip", "attention_refiner.start=3")),
        key(load("anomalyclip", "profile.activation=gelu_tanh")),
        key(load(image_size=32)),
        key(load("winclip")),
        key(load(), "b"),
        key(load(), images=11),
        key(load(), batch_size=4),
        key(load(), shard_size=32),
        key(load(), dtype="float16"),
    ]
    assert len({base, *others}) == len(others) + 1


def test_what_comes_after_the_features_does_not(load) -> None:
    learned = load("anomalyclip", seed=3)
    assert key(load()) == key(learned) == key(load("anomalyclip", "scorer.temperature=0.5"))


def test_side_inputs_count_with_options_and_weights(load) -> None:
    detector = load("crane-plus@stem")
    base = key(detector)
    assert base != key(load("crane-plus@stem", "auxiliary.stem.centre=false"))
    ((_, part),) = detector.auxiliary_parts()
    weight = next(part.stem.parameters())
    before = weight.detach().clone()
    try:
        with torch.no_grad():
            weight += 1
        assert key(detector) != base
    finally:
        weight.detach().copy_(before)
    assert key(detector) == base


def test_modules_are_found_in_a_part_and_as_a_part() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(2, 2)
    assert set(_states(SimpleNamespace(model=layer, size=3))) == {"model"}
    assert set(_states(layer)) == {""} and _states(object()) == {}


def test_a_reading_is_the_same_under_other_names_and_in_another_order() -> None:
    stream = Stream(2, SelfAttention())
    one = VisionRequest(
        (TokenRequest("a", 4, stream), TokenRequest("b", 2), TokenRequest("c", 4, stream)),
        (WindowRequest("w", 3),),
    )
    other = VisionRequest((TokenRequest("x", 2), TokenRequest("y", 4, stream)), (WindowRequest("z", 3),))
    own, its = reading_of(one), reading_of(other)
    assert own.places == its.places and len(own.places) == 3
    numbers = dict(own.named)
    assert numbers["a"] == numbers["c"] == dict(its.named)["y"]
    assert numbers["b"] == dict(its.named)["x"] and numbers["w"] == dict(its.named)["z"]
    assert [name for name, _ in own.named] == ["a", "b", "c", "w"]


@dataclass(frozen=True)
class Opaque:
    function: Any = print


def test_plain_values() -> None:
    assert plain((1, 0.5, None, {"a": [True]})) == [1, 0.5, None, {"a": [True]}]
    assert plain(frozenset({"b", "a"})) == ["a", "b"]
    assert plain(SelfAttention(("qq",)))["pairs"] == ["qq"]
    with pytest.raises(TypeError, match="builtin_function_or_method"):
        plain(Opaque())


def test_a_term_that_cannot_be_described_is_refused(load, monkeypatch) -> None:
    detector = load()
    request = VisionRequest((TokenRequest("a", 2, Stream(1, print)),))
    monkeypatch.setattr(detector, "reading", replace(detector.reading, request=request))
    with pytest.raises(InputError, match=r"'anomalyclip' cannot be cached: .* use --no-cache"):
        key(detector)
