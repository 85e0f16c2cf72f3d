"""NAGL's references, its attentions, and the nearest neighbour that it comes to without abnormal ones."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.plugins.contexts import TEXTLESS
from zsad.detect.detector import Detector
from zsad.errors import InputError
from zsad.values import Features, Grid, TokenSet
from zsad_plugins.nagl.options import ReferenceOptions
from zsad_plugins.nagl.proxies import Attention, ProxyAttention, residuals
from zsad_plugins.nagl.references import References, marked_cells, places, sine

Load = Callable[..., Detector]
ALONE = "reference_store.abnormal=false"


@pytest.fixture
def load(untrained: Callable[[str], Load]) -> Load:
    return untrained("nagl")


def noise(seed: int, count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (60, 70, 3), np.uint8) for _ in range(count)]


def boxes(count: int) -> list[np.ndarray]:
    masks = [np.zeros((60, 70), bool) for _ in range(count)]
    for number, mask in enumerate(masks):
        mask[10 : 30 + number, 20:50] = True
    return masks


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


def features_of(tokens: Tensor, grid: Grid) -> Features:
    entry = TokenSet("tokens.4", tokens, grid, "ln_post", 4)
    count = len(tokens)
    return Features((entry,), torch.zeros(count, 4), ("gear",) * count, 16)


def test_without_abnormal_references_it_is_the_nearest_neighbour(load: Load) -> None:
    detector = load(ALONE)
    floor = load("readout.taps=[4]", "readout.stage=ln_post", method="nearest-neighbour")
    for each in (detector, floor):
        each.remember(noise(0, 2))
    assert detector.setting == "training-free / inductive / few-shot-normal"
    found, nearest = detector.predict(noise(1, 3)), floor.predict(noise(1, 3))
    assert torch.allclose(2 * found.anomaly_map, nearest.anomaly_map, atol=1e-5)
    assert torch.allclose(2 * found.score, nearest.score, atol=1e-5)


def test_the_map_is_the_mean_of_being_abnormal_and_of_not_being_normal(load: Load) -> None:
    detector, images = load(), noise(1, 2)
    detector.remember(noise(0, 2), abnormal=noise(2, 2), masks=boxes(2))
    assert detector.setting == "training-free / inductive / few-shot-normal-abnormal"
    features, scorer = detector.encode(images), detector.part("scorer")
    (memory,) = (each.buffers for each in detector.memories.values())
    stages = dict(detector.stages(features))
    values = stages["nagl.proxies"].sets[0].values
    (entry,) = features.token_sets
    with torch.no_grad():
        mined = scorer.residual_proxies(memory["abnormal"], memory["places"], memory["normal"])
        where = places(entry.grid, torch.device("cpu"))
        proxies = scorer.anomaly_proxies(entry.tokens, where, memory["normal"], mined)
    assert mined.shape == (25, entry.tokens.shape[-1])
    for image in range(2):
        for number, token in enumerate(entry.tokens[image]):
            cell = divmod(number, entry.grid.width)
            normal = F.cosine_similarity(token[None], memory["normal"]).max()
            abnormal = F.cosine_similarity(token[None], proxies[image]).mean()
            expected = [(1 + float(normal)) / 2, (1 + float(abnormal)) / 2]
            assert values[image, :, cell[0], cell[1]].tolist() == pytest.approx(expected, abs=1e-5)
    enlarged = F.interpolate((values[:, 1:] + 1 - values[:, :1]) / 2, (80, 80), mode="bilinear")[:, 0]
    assert torch.allclose(stages["standard.fuse"].required_map, enlarged, atol=1e-6)


def test_the_order_of_references_changes_nothing_and_masks_do(load: Load) -> None:
    detector, images = load(), noise(1, 2)
    normal, abnormal, masks = noise(0, 3), noise(2, 2), boxes(2)
    detector.remember(normal, abnormal=abnormal, masks=masks)
    found = detector.predict(images).anomaly_map
    detector.remember(normal[::-1], abnormal=abnormal[::-1], masks=masks[::-1])
    assert torch.allclose(detector.predict(images).anomaly_map, found, atol=1e-6)
    detector.remember(normal, abnormal=abnormal, masks=[~mask for mask in masks])
    assert not torch.allclose(detector.predict(images).anomaly_map, found, atol=1e-6)


def test_tokens_outside_the_mask_have_no_influence() -> None:
    grid = Grid(4, 4)
    masks = torch.zeros(2, 16, 16, dtype=torch.bool)
    masks[0, 5, 6], masks[1, 4:12, 4:8] = True, True
    store = References(ReferenceOptions(), TEXTLESS)
    tokens = random(2, 16, 8)
    before = store.remember(features_of(tokens, grid), masks)
    marked = marked_cells(masks, grid)
    assert marked.sum(1).tolist() == [1, 2] and marked[0, 5] and marked[1, [5, 9]].all()
    changed = torch.where(marked[..., None], tokens, torch.full_like(tokens, 1e6))
    after = store.remember(features_of(changed, grid), masks)
    for name in ("abnormal", "places"):
        assert torch.equal(before[name], after[name])
    assert torch.equal(before["abnormal"], torch.stack([tokens[0, 5], tokens[1, 5], tokens[1, 9]]))
    assert before["places"].tolist() == [[0.5, 0.5], [0.5, 0.5], [0.75, 0.5]]


def test_a_cell_is_marked_by_a_single_pixel() -> None:
    masks = torch.rand(3, 15, 15, generator=torch.Generator().manual_seed(0)) > 0.95
    found = marked_cells(masks, Grid(5, 3))
    for image, row, column in np.ndindex(3, 5, 3):
        inside = masks[image, 3 * row : 3 * row + 3, 5 * column : 5 * column + 5]
        assert bool(found[image, row * 3 + column]) == bool(inside.any())


def test_positions_are_sines_and_cosines_in_turn() -> None:
    where = torch.tensor([[0.25, 1.0], [0.5, 0.75]], dtype=torch.float64)
    found = sine(where, 16)
    for place, (row, column) in enumerate(where.tolist()):
        expected = []
        for share in (row, column):
            for pair in range(4):
                angle = share * 2 * math.pi / 10000 ** (2 * pair / 8)
                expected += [math.sin(angle), math.cos(angle)]
        assert found[place].tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("cosine", [True, False])
def test_residuals_against_loops(cosine: bool) -> None:
    tokens, normal = random(2, 5, 6), random(7, 6) * torch.arange(1, 8)[:, None]
    found = residuals(tokens, normal, cosine=cosine)
    assert torch.equal(found, residuals(tokens, normal, cosine=cosine, room=1))
    for image, number in np.ndindex(2, 5):
        token = tokens[image, number]
        like = F.cosine_similarity(token[None], normal) if cosine else normal @ token
        assert torch.allclose(found[image, number], token - normal[like.argmax()])
    assert torch.equal(residuals(normal, normal, cosine=True), torch.zeros_like(normal))


def test_attention_is_that_of_torch() -> None:
    mine, other = Attention(12, 3).double(), nn.MultiheadAttention(12, 3, batch_first=True).double()
    with torch.no_grad():
        for layer, weight, bias in zip(
            (mine.q_proj, mine.k_proj, mine.v_proj),
            other.in_proj_weight.chunk(3),
            other.in_proj_bias.chunk(3),
            strict=True,
        ):
            layer.weight.copy_(weight)
            layer.bias.copy_(bias)
    mine.out_proj.load_state_dict(other.out_proj.state_dict())
    queries, keys, values = random(2, 4, 12), random(2, 9, 12), random(2, 9, 12) + 1
    assert torch.allclose(mine(queries, keys, values), other(queries, keys, values)[0])
    both = ProxyAttention(12, 3).double()
    y = F.layer_norm(queries + both.cross(queries, keys, values), (12,))
    assert torch.allclose(both(queries, keys, values), F.layer_norm(y + both.own(y, y, y), (12,)))


def test_the_published_match_is_another_one(load: Load) -> None:
    found = []
    for match in ("cosine", "product"):
        detector = load(f"scorer.match={match}", "readout.stage=raw")
        assert detector.recipe.parts[1].described()["options"]["match"] == match
        detector.remember(noise(0, 2), abnormal=noise(2, 1), masks=boxes(1))
        found.append(detector.predict(noise(1, 2)).anomaly_map)
    assert not torch.allclose(*found, atol=1e-7)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["readout.taps=[2,4]", ALONE], "reads the tokens of one tap, and there are 2"),
        (["scorer.heads=5"], "5 and 4 have to divide"),
        (["scorer.match=dot"], "match"),
    ],
)
def test_what_cannot_be_is_refused(load: Load, overrides: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        load(*overrides).remember(noise(0, 1))


def test_both_kinds_of_references_or_none_of_one(load: Load) -> None:
    with pytest.raises(InputError, match="needs abnormal reference images too"):
        load().remember(noise(0, 1))
    with pytest.raises(InputError, match="remembers normal references alone"):
        load(ALONE).remember(noise(0, 1), abnormal=noise(1, 1), masks=boxes(1))


def test_single_images_cannot_teach_it(load: Load) -> None:
    detector = load()
    features = detector.encode(noise(0, 1))
    with pytest.raises(InputError, match="single images"):
        detector.part("scorer")(features, detector.condition(features))
