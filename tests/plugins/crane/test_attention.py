"""E-attention and D-attention against plain recomputations on a tiny CLIP."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
import torch.nn.functional as F

from zsad.backbones.block import BlockRun
from zsad.streams import SelfAttention
from zsad.values import Grid
from zsad_plugins.crane.attention import DAttention, foreign_weights, on_grid

PAIRS = ("qq", "kk", "vv")


def reference(features: torch.Tensor, mean: torch.Tensor | float | None = None) -> torch.Tensor:
    """One image's weights, with loops and its own or a given mean."""
    unit = features / features.norm(dim=-1, keepdim=True)
    similarity = unit @ unit.T
    mean = similarity.mean() if mean is None else mean
    rows = []
    for row in similarity:
        kept = row >= 1.2 * mean
        weight = torch.where(kept, (3 * row).exp(), torch.zeros(()))
        rows.append(weight / weight.sum())
    return torch.stack(rows)


def test_weights_are_a_softmax_over_what_is_similar_enough() -> None:
    features = torch.randn(2, 30, 4, generator=torch.Generator().manual_seed(0)) + 0.4
    clean = foreign_weights(features, 3.0, 1.2, over_batch=False)
    for image, weights in zip(features, clean, strict=True):
        torch.testing.assert_close(weights, reference(image))
    unit = F.normalize(features, dim=-1)
    mean = (unit @ unit.transpose(1, 2)).mean()
    batch = foreign_weights(features, 3.0, 1.2, over_batch=True)
    for image, weights in zip(features, batch, strict=True):
        torch.testing.assert_close(weights, reference(image, mean))
    assert ((clean > 0) != (batch > 0)).any()


@pytest.mark.parametrize("over_batch", [True, False])
def test_equal_features_attend_to_themselves_instead_of_becoming_nan(over_batch: bool) -> None:
    weights = foreign_weights(torch.ones(2, 5, 3), 3.0, 1.2, over_batch=over_batch)
    torch.testing.assert_close(weights, torch.eye(5).expand(2, -1, -1))
    assert foreign_weights(torch.zeros(1, 5, 3), 3.0, 1.2, over_batch=over_batch).isfinite().all()


def term(values_from: str) -> DAttention:
    return DAttention("maps", 3.0, 1.2, False, values_from, PAIRS)  # type: ignore[arg-type]


@torch.no_grad()
def test_values_come_from_where_they_are_said_to_come_from(tiny_backbone) -> None:
    block = tiny_backbone.vision_tower().blocks[1]
    width = block.v_proj.in_features
    # Two injected tokens stand behind nine patches.
    x = torch.randn(2, 1 + 9 + 2, width, generator=torch.Generator().manual_seed(1))
    maps = torch.randn(2, 3, 3, 5, generator=torch.Generator().manual_seed(2))
    state = BlockRun(block, x, Grid(3, 3), {"maps": maps}, Counter())
    weights = torch.stack([reference(image) for image in maps.flatten(1, 2)])
    sources = {
        "attention": state.after_attention,
        "input": x,
        "local": x + SelfAttention(PAIRS)(state),
    }
    for name, source in sources.items():
        values = block.split(block.v_proj(block.ln_1(source))[:, 1:10])
        # Head by head, as the published code has it.
        expected = block.out_proj(block.merge(weights[:, None] @ values))
        torch.testing.assert_close(term(name)(state), expected)
    assert term("attention") == term("attention") and hash(term("attention")) == hash(term("attention"))


def test_maps_on_another_grid_are_resized() -> None:
    maps = torch.arange(4.0).reshape(1, 2, 2, 1)
    assert on_grid(maps, Grid(2, 2)) is maps
    resized = on_grid(maps, Grid(4, 4))
    assert resized.shape == (1, 4, 4, 1) and resized[0, 0, 0, 0] == 0 and resized[0, 3, 3, 0] == 3


def test_aliased_taps_are_the_end_of_the_stream(load, tiny_backbone, samples) -> None:
    taps = "readout.taps=[2, 3, 4]"
    aliased = load("crane", tiny_backbone, taps).encode(samples)
    apart = load("crane", tiny_backbone, taps, "attention_refiner.aliased=false").encode(samples)
    last = apart.token_sets[-1].tokens
    for one, other in zip(aliased.token_sets, apart.token_sets, strict=True):
        assert one.name == other.name
        torch.testing.assert_close(one.tokens, last)
    assert (apart.token_sets[0].tokens - last).abs().max() > 1e-3
    # Averages over equal taps change nothing.
    once = load("crane", tiny_backbone).predict(samples)
    often = load("crane", tiny_backbone, taps).predict(samples)
    torch.testing.assert_close(once.anomaly_map, often.anomaly_map, rtol=0, atol=1e-6)
    torch.testing.assert_close(once.score, often.score, rtol=0, atol=1e-6)


def test_pairs_are_summed_like_those_of_the_standard_part(load, tiny_backbone, samples) -> None:
    own = load("crane", tiny_backbone)
    standard = load(
        "crane",
        tiny_backbone,
        "attention_refiner=standard.self_attention",
        "attention_refiner.pairs=[qq, kk, vv]",
    )
    torch.testing.assert_close(own.predict(samples).anomaly_map, standard.predict(samples).anomaly_map)


def test_sets_come_pairwise_with_d_attention_first(load, tiny_backbone, samples) -> None:
    detector = load("crane-plus@per-image", tiny_backbone, "readout.taps=[1, 4]", "attention_refiner.start=1")
    features = detector.encode(samples)
    assert [entry.name for entry in features.token_sets] == ["d.1", "e.1", "d.4", "e.4"]
    same = load(
        "crane-plus@per-image",
        tiny_backbone,
        "readout.taps=[1, 4]",
        "attention_refiner.start=1",
        "attention_refiner.first_block=same",
    ).encode(samples)
    assert (features.token_sets[0].tokens - same.token_sets[0].tokens).abs().max() > 1e-3
    torch.testing.assert_close(features.token_sets[2].tokens, same.token_sets[2].tokens)
