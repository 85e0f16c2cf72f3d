"""Noise on features: where the mask says, of the size it says, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.plugins.generators.images import generator
from zsad.errors import InputError
from zsad.values import Features, Grid, TokenSet, Windows


def features(count: int = 32, side: int = 8, channels: int = 64) -> Features:
    random = torch.Generator().manual_seed(0)
    sets = tuple(
        TokenSet(f"tap.{block}", 3 * torch.randn(count, side * side, channels, generator=random),
                 Grid(side, side), "raw", block, torch.randn(count, channels, generator=random))
        for block in (2, 4)
    )  # fmt: skip
    image = torch.randn(count, 16, generator=random)
    return Features(sets, image, ("thing",) * count, (64, 64))


def noisy(given: Features, seed: int = 0, **options) -> tuple[Features, torch.Tensor]:
    return generator("feature-noise", **options)(given, torch.Generator().manual_seed(seed))


def test_noise_is_where_the_mask_says() -> None:
    given = features()
    before = [entry.tokens.clone() for entry in given.token_sets]
    found, masks = noisy(given)
    assert masks.shape == (32, 8, 8) and masks.dtype == torch.bool
    changes = []
    for old, new, kept in zip(given.token_sets, found.token_sets, before, strict=True):
        assert torch.equal(old.tokens, kept)
        change = new.tokens - old.tokens
        assert torch.equal((change != 0).any(-1).unflatten(1, (8, 8)), masks)
        changes.append(change[masks.flatten(1)])
        assert torch.equal(new.class_token, old.class_token)
    assert torch.equal(found.image_feature, given.image_feature)
    for change in changes:
        assert float(change.std()) == pytest.approx(0.015, rel=0.03) and abs(float(change.mean())) < 0.001
    assert not torch.allclose(*changes)  # each set has its own


def test_half_of_the_images_stay_normal() -> None:
    _, masks = noisy(features(400, channels=4))
    share = float(masks.flatten(1).any(1).float().mean())
    assert 0.42 < share < 0.58
    assert noisy(features(50, channels=4), clean=0)[1].flatten(1).any(1).float().mean() > 0.95


def test_a_seed_decides() -> None:
    given = features(8)
    first, second, other = (noisy(given, seed) for seed in (1, 1, 2))
    assert torch.equal(first[1], second[1]) and not torch.equal(first[1], other[1])
    assert torch.equal(first[0].token_sets[1].tokens, second[0].token_sets[1].tokens)


def test_relative_noise_has_the_tokens_scale() -> None:
    given = features()
    found, masks = noisy(given, sigma=0.1, relative=True)
    change = (found.token_sets[0].tokens - given.token_sets[0].tokens)[masks.flatten(1)]
    assert float(change.std()) == pytest.approx(0.3, rel=0.03)


def test_windows_stay_and_alone_are_refused() -> None:
    given = features(4)
    windows = replace(given.token_sets[0], layout=Windows(Grid(8, 8), torch.ones(64, 64)))
    mixed = replace(given, token_sets=(windows, given.token_sets[1]))
    found, _ = noisy(mixed, clean=0)
    assert torch.equal(found.token_sets[0].tokens, windows.tokens)
    with pytest.raises(InputError, match="no patch tokens on a grid"):
        noisy(replace(given, token_sets=(windows,)))
    small = TokenSet("small", torch.zeros(4, 4, 64), Grid(2, 2), "raw", 1)
    with pytest.raises(InputError, match="several grids"):
        noisy(replace(given, token_sets=(small, given.token_sets[1])))
