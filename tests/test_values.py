"""What the values that parts hand to one another say of themselves."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from zsad.data.order import places_by_name
from zsad.errors import InputError, ZsadError
from zsad.values import (
    Conditioning,
    Features,
    Grid,
    Scores,
    ScoreSet,
    TokenSet,
    Windows,
    join_scores,
)

GRID = Grid(2, 3)
WINDOWS = Windows(GRID, torch.eye(6)[:2])


def token_set(name: str, layout: Grid | Windows = GRID, *, images: int = 3) -> TokenSet:
    count = layout.count if isinstance(layout, Grid) else len(layout.incidence)
    tokens = torch.arange(images * count * 4.0).reshape(images, count, 4)
    return TokenSet(name, tokens, layout, "joint", 1, tokens[:, 0] + 0.5)


def features(*sets: TokenSet, prepass: bool = False) -> Features:
    image = torch.arange(15.0).reshape(3, 5)
    return Features(
        sets,
        image,
        ("gear", "tile", "gear"),
        (24, 24),
        {"boxes": torch.arange(6).reshape(3, 2)},
        image + 100 if prepass else None,
        ("a.png", "b.png", "c.png"),
    )


@given(
    height=st.integers(1, 7), width=st.integers(1, 7), images=st.integers(0, 3), channels=st.integers(1, 4)
)
def test_a_grid_is_read_row_by_row(height: int, width: int, images: int, channels: int) -> None:
    grid = Grid(height, width)
    assert grid.count == height * width
    tokens = torch.arange(images * grid.count * channels).reshape(images, grid.count, channels)
    maps = grid.to_maps(tokens)
    assert maps.shape == (images, channels, height, width)
    for row in range(height):
        for column in range(width):
            assert torch.equal(maps[:, :, row, column], tokens[:, row * width + column])
    assert torch.equal(grid.to_tokens(maps), tokens)


def test_maps_and_tokens_need_not_lie_in_one_piece() -> None:
    tokens = torch.randn(3, 4, 6).transpose(1, 2)  # [3, 6, 4], strided
    maps = GRID.to_maps(tokens)
    assert torch.equal(maps[1, :, 1, 2], tokens[1, 5])
    assert torch.equal(GRID.to_tokens(maps.transpose(0, 1).contiguous().transpose(0, 1)), tokens)


def test_a_token_set_says_where_its_tokens_lie() -> None:
    patches, windows = token_set("tokens.24"), token_set("windows.2", WINDOWS)
    assert patches.grid == GRID and windows.windows is WINDOWS
    with pytest.raises(InputError) as caught:
        _ = windows.grid
    assert str(caught.value) == (
        "token set 'windows.2' holds windows, where patches on a grid are read; choose an "
        "attention_refiner that reads patches"
    )
    with pytest.raises(InputError) as caught:
        _ = patches.windows
    assert str(caught.value) == (
        "token set 'tokens.24' holds patches, where windows are read; choose an attention_refiner that "
        "reads windows"
    )


def test_sets_are_told_apart_by_their_layout_in_their_order() -> None:
    sets = [token_set("a"), token_set("w", WINDOWS), token_set("b"), token_set("v", WINDOWS)]
    found = features(*sets)
    assert [entry.name for entry in found.patch_sets] == ["a", "b"]
    assert [entry.name for entry in found.window_sets] == ["w", "v"]
    with pytest.raises(InputError, match="scores windows, and its attention_refiner reads none"):
        _ = features(token_set("a")).window_sets
    for without in (features(token_set("w", WINDOWS)), features()):
        with pytest.raises(InputError, match="scores patches, and its attention_refiner reads none"):
            _ = without.patch_sets


def test_the_grid_is_the_one_that_all_sets_share() -> None:
    assert features(token_set("a"), token_set("b", Grid(2, 3))).grid == GRID
    with pytest.raises(InputError, match="one and the same grid, and its token sets have 2; choose another"):
        _ = features(token_set("a"), token_set("b", Grid(3, 2))).grid
    with pytest.raises(InputError, match="one and the same grid, and its token sets have 0; choose another"):
        _ = features().grid
    with pytest.raises(InputError, match="token set 'w' holds windows, where patches on a grid are read"):
        _ = features(token_set("a"), token_set("w", WINDOWS)).grid


def test_the_plain_image_feature_is_that_without_injected_tokens() -> None:
    plain, injected = features(), features(prepass=True)
    assert plain.plain_image_feature is plain.image_feature
    assert torch.equal(injected.plain_image_feature, injected.image_feature + 100)


def test_selected_features_are_those_of_the_images() -> None:
    whole = features(token_set("a"), replace(token_set("w", WINDOWS), class_token=None), prepass=True)
    found = whole.select([2, 0])
    assert len(found) == 2 and found.class_names == ("gear", "gear") and found.names == ("c.png", "a.png")
    for one, other in zip(found.token_sets, whole.token_sets, strict=True):
        assert torch.equal(one.tokens, other.tokens[[2, 0]]) and one.layout is other.layout
    assert torch.equal(found.token_sets[0].class_token, whole.token_sets[0].class_token[[2, 0]])
    assert found.token_sets[1].class_token is None
    assert found.auxiliary["boxes"].tolist() == [[4, 5], [0, 1]]
    assert torch.equal(found.plain_image_feature, whole.plain_image_feature[[2, 0]])
    nameless = replace(whole, names=(), prepass=None).select([1])
    assert nameless.names == () and nameless.prepass is None


def test_selected_conditioning_is_that_of_the_images() -> None:
    pair, raw = torch.randn(3, 2, 4), torch.randn(3, 5, 4)
    found = Conditioning(pair, raw, {"x": torch.arange(3)}).select([1, 1])
    assert torch.equal(found.text_features, pair[[1, 1]]) and torch.equal(found.raw, raw[[1, 1]])
    assert found.intermediates["x"].tolist() == [1, 1]
    assert Conditioning(pair).select([0]).raw is None


def test_a_map_that_nobody_has_set_is_asked_for_in_vain() -> None:
    maps, score = torch.rand(3, 4, 4), torch.rand(3)
    scores = Scores(map=maps, image_score=score)
    assert scores.required_map is maps and scores.required_image_score is score
    with pytest.raises(ZsadError) as caught:
        _ = Scores(image_score=score).required_map
    assert str(caught.value) == (
        "a part reads the anomaly map before any has set it; it has to require 'anomaly_map'"
    )
    with pytest.raises(ZsadError) as caught:
        _ = Scores(map=maps).required_image_score
    assert str(caught.value) == (
        "a part reads the image score before any has set it; it has to require 'image_score'"
    )


def test_the_trace_says_who_set_the_image_score() -> None:
    maps = torch.rand(2, 4, 4)
    first = Scores(map=maps).with_image_score(torch.zeros(2), "first")
    second = first.with_image_score(torch.ones(2), "second")
    assert second.trace == ("first", "second") and second.required_map is maps
    assert first.trace == ("first",) and first.required_image_score.tolist() == [0, 0]


def test_joined_scores_are_the_batches_in_a_row() -> None:
    draw = torch.Generator().manual_seed(0)
    sets = (ScoreSet("a", torch.rand(5, 1, 2, 2, generator=draw), "anomaly"),)
    whole = Scores(sets, torch.rand(5, 4, 4, generator=draw), torch.rand(5, generator=draw), ("x",))
    parts = [whole.select([0, 1]), whole.select([2]), whole.select([3, 4])]
    joined = join_scores(parts)
    assert torch.equal(joined.required_map, whole.required_map) and joined.trace == ("x",)
    assert torch.equal(joined.required_image_score, whole.required_image_score)
    assert torch.equal(joined.sets[0].values, sets[0].values)
    assert (joined.sets[0].name, joined.sets[0].kind) == ("a", "anomaly")
    lacking = join_scores([parts[0], replace(parts[1], map=None)])
    assert lacking.map is None and len(lacking.required_image_score) == 3


@given(st.lists(st.sampled_from("abc")))
def test_places_are_every_index_once_in_the_order_of_first_appearance(names: list[str]) -> None:
    found = places_by_name(names)
    assert sorted(place for own in found.values() for place in own) == list(range(len(names)))
    assert all(names[place] == name for name, own in found.items() for place in own)
    assert [own[0] for own in found.values()] == sorted(own[0] for own in found.values())
