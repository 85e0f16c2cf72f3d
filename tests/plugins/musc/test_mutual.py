"""Neighbourhood aggregation and mutual scoring against their definitions, loop by loop."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from zsad.errors import InputError
from zsad.values import Features, Grid, TokenSet, Windows
from zsad_plugins.musc.lnamd import Lnamd, aggregate
from zsad_plugins.musc.mutual import MutualScorer, ranks
from zsad_plugins.musc.options import LnamdOptions, MutualOptions

GRID = Grid(3, 4)


def features(count: int, *, sets: int = 2, seed: int = 0, name: str = "gear") -> Features:
    draw = torch.Generator().manual_seed(seed)
    tokens = torch.randn(sets, count, GRID.height * GRID.width, 6, generator=draw, dtype=torch.float64)
    image = torch.randn(count, 5, generator=draw, dtype=torch.float64)
    entries = tuple(
        TokenSet(f"tokens.{tap}", own, GRID, "raw", tap, own[:, 0]) for tap, own in enumerate(tokens, start=1)
    )
    return Features(entries, image, (name,) * count, (24, 24))


def scorer_of(**options: object) -> MutualScorer:
    return MutualScorer(MutualOptions.model_validate({"memory_mb": 1} | options), None)


def lnamd(*sides: int) -> Lnamd:
    return Lnamd(LnamdOptions(sides=sides), None)


def by_loops(tokens: torch.Tensor, low: int, high: int) -> torch.Tensor:
    """Return the scores [N, L] with the ranks low ... high - 1, as the paper writes them."""
    tokens = F.normalize(tokens, dim=-1)
    rows = []
    for place, own in enumerate(tokens):
        others = [torch.cdist(own, other).amin(1) for o, other in enumerate(tokens) if o != place]
        rows.append(torch.stack(others, 1).sort(1).values[:, low:high].mean(1))
    return torch.stack(rows)


@pytest.mark.parametrize(("count", "interval", "low", "high"), [
    (2, (0.0, 0.3), 0, 1),
    (4, (0.0, 0.3), 0, 1),   # 0.3 * 3 is less than one image, where the published code gives no number
    (9, (0.0, 0.3), 0, 2),
    (9, (0.25, 0.75), 2, 6),
    (9, (0.0, 1.0), 0, 8),
])  # fmt: skip
def test_scores_are_those_of_the_definition(count, interval, low, high) -> None:
    given = features(count)
    scorer = scorer_of(interval=interval)
    (found,) = scorer.finalize([scorer.collect(given, None)]).sets
    expected = torch.stack([by_loops(entry.tokens, low, high) for entry in given.token_sets]).mean(0)
    assert found.values.shape == (count, 1, 3, 4) and found.kind == "anomaly"
    torch.testing.assert_close(found.values.flatten(1), expected)


def test_ranks_are_within_the_other_images() -> None:
    for others in range(1, 60):
        for interval in ((0.0, 0.3), (0.0, 1.0), (0.99, 1.0), (0.2, 0.21)):
            first, last = ranks(interval, others)
            assert 0 <= first < last <= others


def test_batches_and_their_order_change_nothing_but_the_order() -> None:
    given, scorer = features(7), scorer_of()
    scorer.budget = 2**12
    (whole,) = scorer.finalize([scorer.collect(given, None)]).sets
    order = [4, 0, 6, 1, 5, 2, 3]
    parts = [scorer.collect(given.select(order[low : low + 3]), None) for low in (0, 3, 6)]
    (split,) = scorer.finalize(parts).sets
    torch.testing.assert_close(split.values, whole.values[order])


def test_equal_images_have_no_distance() -> None:
    given, scorer = features(1), scorer_of()
    kept = [scorer.collect(given, None)] * 3
    assert scorer.finalize(kept).sets[0].values.abs().max() < 1e-6


def test_kept_in_half_precision_the_scores_stay_close() -> None:
    given = features(6)
    exact, rounded = scorer_of(), scorer_of(keep="float16")
    kept = rounded.collect(given, None)
    assert kept.token_sets[0].tokens.dtype == torch.float16
    one, other = exact.finalize([exact.collect(given, None)]), rounded.finalize([kept])
    assert other.sets[0].values.dtype == one.sets[0].values.dtype
    torch.testing.assert_close(other.sets[0].values, one.sets[0].values, atol=2e-3, rtol=0)


def test_one_image_is_refused_in_one_sentence() -> None:
    scorer = scorer_of()
    with pytest.raises(InputError, match="'gear' has only one image here; give two or more"):
        scorer.finalize([scorer.collect(features(1), None)])


def test_windows_are_refused() -> None:
    given = features(2)
    windows = Windows(GRID, torch.eye(12))
    entry = TokenSet("windows", given.token_sets[0].tokens, windows, "joint", 1)
    other = Features((entry,), given.image_feature, given.class_names, (24, 24))
    for refused in (lambda: scorer_of().collect(other, None), lambda: lnamd(1, 3)(other)):
        with pytest.raises(InputError, match="'windows' holds windows, where patches on a grid are read"):
            refused()


def test_token_sets_of_two_grids_are_refused() -> None:
    given = features(2)
    turned = replace(given.token_sets[1], layout=Grid(4, 3))
    other = replace(given, token_sets=(given.token_sets[0], turned))
    with pytest.raises(InputError, match="one and the same grid, and its token sets have 2"):
        scorer_of().collect(other, None)


def test_aggregation_is_that_of_the_definition() -> None:
    """A neighbourhood is cut out, its r * r values of a channel are averaged, the vector is normalised."""
    given = features(3)
    found = lnamd(1, 3, 5)(given)
    names = [f"tokens.{tap}.r{side}" for side in (1, 3, 5) for tap in (1, 2)]
    assert [entry.name for entry in found.token_sets] == names
    for entry, (side, tap) in zip(found.token_sets, [(s, t) for s in (1, 3, 5) for t in (0, 1)], strict=True):
        tokens = given.token_sets[tap].tokens
        mean, variance = tokens.mean((1, 2), keepdim=True), tokens.var((1, 2), keepdim=True, correction=0)
        layout = ((tokens - mean) / (variance + 1e-5).sqrt()).transpose(1, 2).reshape(3, 6, 3, 4)
        cut = F.unfold(layout, side, padding=side // 2)  # [3, 6 * r * r, 12], channel by channel
        pooled = F.adaptive_avg_pool1d(cut.transpose(1, 2), 6)
        torch.testing.assert_close(entry.tokens, F.normalize(pooled, dim=-1))
        assert entry.class_token is None and entry.layout == GRID and entry.block == tap + 1


def test_aggregation_of_an_image_is_its_own() -> None:
    given = features(4)
    together = lnamd(3)(given).token_sets[0].tokens
    alone = lnamd(3)(given.select([2])).token_sets[0].tokens
    torch.testing.assert_close(together[2:3], alone)


def test_a_constant_neighbourhood_gives_numbers() -> None:
    assert torch.isfinite(aggregate(torch.zeros(1, 6, 3, 4), 3)).all()
