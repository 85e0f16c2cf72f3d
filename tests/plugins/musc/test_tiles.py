"""Tiles give what the whole matrix gives, and hold no more than they may."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from tests.plugins.musc.live import Live
from zsad_plugins.musc.mutual import MutualScorer
from zsad_plugins.musc.options import MutualOptions
from zsad_plugins.musc.tiles import Tiling, nearest_cosines

CPU = torch.device("cpu")


def scorer_within(budget: int) -> MutualScorer:
    scorer = MutualScorer(MutualOptions(), None)
    scorer.budget = budget
    return scorer


def unit(count: int, patches: int, width: int, **options: object) -> torch.Tensor:
    draw = torch.Generator().manual_seed(0)
    return F.normalize(torch.randn(count, patches, width, generator=draw), dim=-1).to(**options)


@given(
    count=st.integers(1, 7),
    patches=st.integers(1, 9),
    images=st.integers(1, 8),
    rows=st.integers(1, 9),
)
def test_every_tiling_gives_the_maxima_of_the_whole_matrix(
    count: int, patches: int, images: int, rows: int
) -> None:
    tokens = unit(count, patches, 5, dtype=torch.float64)
    tiling = Tiling(images, patches if images > 1 else min(rows, patches))
    whole = torch.einsum("ipc,jqc->ipjq", tokens, tokens).amax(-1)
    torch.testing.assert_close(nearest_cosines(tokens, tiling, CPU), whole)


@pytest.mark.parametrize("budget", [2**14, 2**16, 2**18, 2**20, 2**22])
@pytest.mark.parametrize(("count", "patches", "width"), [(12, 36, 16), (5, 100, 24), (30, 9, 64)])
def test_a_tile_stays_within_its_budget(budget: int, count: int, patches: int, width: int) -> None:
    tokens = unit(count, patches, width, dtype=torch.float16)  # so that blocks are copied
    tiling = Tiling.within(budget, count, patches, width, itemsize=4)
    with Live(tokens) as live:
        table = nearest_cosines(tokens, tiling, CPU)
    assert live.peak - table.nbytes <= budget
    if tiling.images < count:  # one more image would not fit
        with Live(tokens) as live:
            table = nearest_cosines(tokens, Tiling(tiling.images + 1, patches), CPU)
        assert live.peak - table.nbytes > budget * 0.9
    assert tiling.patches == patches or tiling.images == 1


def test_memory_of_the_whole_comparison_grows_with_the_table_only() -> None:
    """The matrix of all patches would be 5.3 MB and 21 MB; 128 KiB are allowed beside table and scores."""
    patches, budget = 36, 2**17
    scorer = scorer_within(budget)
    for count in (32, 64):
        tokens = unit(count, patches, 16)
        with Live(tokens) as live:
            scores = scorer.scores(tokens, CPU)
        table = 4 * count * patches * count
        assert live.peak <= table + scores.nbytes + budget
        assert (count * patches) ** 2 * 4 > 4 * (budget + table)


def test_a_large_budget_is_one_product_and_a_small_one_is_not_a_loop_over_patches() -> None:
    tokens = unit(16, 36, 16)
    made = []
    for budget in (2**28, 2**17):
        with Live(tokens) as live:
            scorer_within(budget).scores(tokens, CPU)
        made.append(live.made)
    assert made[0] < 50 and made[1] < 40 * 16 * 17 / 2 / 2  # far fewer steps than pairs of images


def test_a_budget_below_one_patch_still_answers() -> None:
    tokens = unit(3, 16, 8)
    tiling = Tiling.within(1, 3, 16, 8, 4)
    assert tiling == Tiling(1, 1)
    torch.testing.assert_close(
        nearest_cosines(tokens, tiling, CPU), nearest_cosines(tokens, Tiling(3, 16), CPU)
    )


def test_half_precision_tokens_are_compared_in_float32() -> None:
    tokens = unit(4, 9, 8)
    found = nearest_cosines(tokens.half(), Tiling(2, 9), CPU)
    assert found.dtype == torch.float32
    exact = nearest_cosines(tokens.half().float(), Tiling(4, 9), CPU)
    torch.testing.assert_close(found, exact)
