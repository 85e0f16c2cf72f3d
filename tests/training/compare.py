"""Bitwise comparison of batches."""

from __future__ import annotations

import torch
from torch import Tensor

from zsad.training.batches import Batch
from zsad.values import Features, Windows


def same(a: Tensor | None, b: Tensor | None) -> bool:
    """Whether two tensors agree in precision, shape and every bit."""
    if a is None or b is None:
        return a is b
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    return torch.equal(a.flatten().view(torch.uint8), b.flatten().view(torch.uint8))


def assert_same_features(a: Features, b: Features) -> None:
    assert [entry.name for entry in a.token_sets] == [entry.name for entry in b.token_sets]
    for own, other in zip(a.token_sets, b.token_sets, strict=True):
        assert (own.space, own.block) == (other.space, other.block)
        if isinstance(other.layout, Windows):
            assert isinstance(own.layout, Windows) and own.layout.grid == other.layout.grid
            assert same(own.layout.incidence, other.layout.incidence)
        else:
            assert own.layout == other.layout
        assert same(own.tokens, other.tokens.contiguous()), own.name
        assert same(own.class_token, other.class_token), own.name
        assert same(own.injected, other.injected), own.name
        assert same(own.registers, other.registers), own.name
    assert same(a.image_feature, b.image_feature)
    assert same(a.prepass, b.prepass)
    assert a.auxiliary.keys() == b.auxiliary.keys()
    assert all(same(a.auxiliary[name], b.auxiliary[name]) for name in a.auxiliary)
    assert (a.class_names, a.whole_size, a.cut) == (b.class_names, b.whole_size, b.cut)


def assert_same(a: Batch, b: Batch) -> None:
    assert_same_features(a.features, b.features)
    assert same(a.masks, b.masks) and same(a.anomalous, b.anomalous) and same(a.weights, b.weights)
