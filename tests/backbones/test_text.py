from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import open_clip
import pytest
import torch
from torch import Tensor, nn

from zsad.backbones import text as text_module
from zsad.backbones.card import BackboneCard
from zsad.backbones.clip import ClipBackbone
from zsad.backbones.names import BackboneName
from zsad.backbones.open_clip_loading import from_open_clip
from zsad.backbones.text import TextTower
from zsad.errors import InputError
from zsad.prompts import DeepPrompts, TextEdits

CONFIG = Path(__file__).parents[1] / "assets" / "tiny-clip.json"
CLOSE = {"atol": 1e-5, "rtol": 1e-5}
TEXTS = ["a", "a photo of a damaged metal nut for visual inspection", "flawless carpet"]


def module_of(**text_options: object) -> nn.Module:
    config = json.loads(CONFIG.read_text())
    config["text_cfg"].update(text_options)
    torch.manual_seed(0)
    return open_clip.CLIP(**config).eval()


def backbone_of(module: nn.Module) -> ClipBackbone:
    name = BackboneName(f"{CONFIG}@random:0", str(CONFIG), seed=0)
    card = BackboneCard("tiny", "nothing")
    return from_open_clip(module, name, card, torch.device("cpu"), torch.float32)


@pytest.fixture(scope="module")
def module() -> nn.Module:
    return module_of()


@pytest.fixture(scope="module")
def tower(module: nn.Module) -> TextTower:
    found = backbone_of(module).text_tower()
    assert found is not None
    return found


@pytest.fixture(autouse=True)
def _no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


def by_hand(tower: TextTower, x: Tensor, end: Tensor, deep: dict[int, Tensor] | None = None) -> Tensor:
    """All places of the context, one sequence after the other, replacing places 1.. at some blocks."""
    found = []
    for row, place in zip(x, end.tolist(), strict=True):
        y = row[None] + tower.position_embedding
        for number, block in enumerate(tower.blocks, start=1):
            if deep and number in deep:
                y[0, 1 : 1 + len(deep[number])] = deep[number]
            y = block(y, causal=tower.profile.causal)
        found.append(tower.ln_final(y[0, place]) @ tower.projection)
    return torch.stack(found)


def test_features_are_open_clip_s(tower: TextTower, module: nn.Module) -> None:
    ids = tower.tokenize(TEXTS)
    mine = tower(tower.embed(ids), tower.end_positions(ids))
    torch.testing.assert_close(mine, module.encode_text(ids), **CLOSE)


@pytest.mark.parametrize(
    "text_options", [{"no_causal_mask": True}, {"pool_type": "eos"}, {"pool_type": "last"}], ids=str
)
def test_another_pooling_is_refused(text_options: dict[str, object]) -> None:
    with pytest.raises(InputError, match="does not read text features by"):
        backbone_of(module_of(**text_options))


def test_cutting_at_the_longest_text_changes_nothing(tower: TextTower) -> None:
    ids = tower.tokenize(TEXTS)
    lengths = []
    first = tower.blocks[0]
    handle = first.register_forward_pre_hook(lambda _, args: lengths.append(args[0].shape[1]))
    cut = tower(tower.embed(ids), tower.end_positions(ids))
    handle.remove()
    assert lengths == [int(tower.end_positions(ids).max()) + 1]
    torch.testing.assert_close(cut, by_hand(tower, tower.embed(ids), tower.end_positions(ids)), **CLOSE)


def test_texts_are_not_cut_without_a_causal_mask() -> None:
    module = module_of(no_causal_mask=True, pool_type="last")
    tower = backbone_of(module).text_tower()
    assert tower is not None and not tower.profile.causal
    ids = tower.tokenize(TEXTS)
    assert tower.end_positions(ids).tolist() == [76] * 3
    whole = by_hand(tower, tower.embed(ids), tower.end_positions(ids))
    torch.testing.assert_close(tower(tower.embed(ids), tower.end_positions(ids)), whole, **CLOSE)
    torch.testing.assert_close(module.encode_text(ids), whole, **CLOSE)
    padding = tower.embed(ids).clone()
    padding[:, 40:] = torch.randn(37, 64)  # behind every text, yet read
    assert (tower(padding, tower.end_positions(ids)) - whole).abs().max() > 1e-4


def test_deep_prompts_replace_states_and_are_rounded(module: nn.Module) -> None:
    backbone = backbone_of(module)
    profile = backbone.native_text_profile
    assert profile is not None
    ids = open_clip.tokenize(TEXTS)
    tokens = [torch.randn(2, 64) * 0.3, torch.randn(2, 64) * 0.3]
    features = {}
    for cast in (None, "float16"):
        tower = backbone.text_tower(profile.model_copy(update={"deep_prompt_cast": cast}))
        assert tower is not None
        end = tower.end_positions(ids)
        features[cast] = tower(tower.embed(ids), end, DeepPrompts(tuple(tokens)))
        used = [t.half().float() for t in tokens] if cast else tokens
        expected = by_hand(tower, tower.embed(ids), end, {2: used[0], 3: used[1]})
        torch.testing.assert_close(features[cast], expected, atol=1e-6, rtol=1e-6)
    assert 1e-6 < (features[None] - features["float16"]).abs().max() < 1e-2


def test_sequences_of_a_batch_have_deep_prompts_of_their_own(
    tower: TextTower, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = tower.tokenize(TEXTS)
    end, x = tower.end_positions(ids), tower.embed(ids).expand(4, -1, -1, -1)
    deep = torch.randn(4, 1, 2, 64) * 0.3
    monkeypatch.setattr(text_module, "TEXT_BATCH", 5)  # 12 sequences: chunks across images
    mine = tower(x, end, DeepPrompts((deep,), first_block=3))
    for image in range(4):
        expected = by_hand(tower, x[image], end, {3: deep[image, 0]})
        torch.testing.assert_close(mine[image], expected, **CLOSE)


def test_layers_within_the_tower_feed_on_and_stand_in_for_the_projection(tower: TextTower) -> None:
    generator = torch.Generator().manual_seed(3)
    turn, last = (torch.randn(64, 64, generator=generator) / 8 for _ in range(2))
    out = torch.randn(5, 64, generator=generator)
    ids = tower.tokenize(TEXTS)
    x, end = tower.embed(ids), tower.end_positions(ids)
    blocks = {1: lambda x: x @ turn, 3: lambda x: x + torch.tanh(x @ last)}
    found = tower(x, end, edits=TextEdits(blocks, lambda x: x @ out.T))
    for row, place, feature in zip(x, end.tolist(), found, strict=True):
        y = (row[: place + 1] + tower.position_embedding[: place + 1])[None]
        for number, block in enumerate(tower.blocks, 1):
            y = block(y, causal=True)
            y = blocks[number](y) if number in blocks else y
        torch.testing.assert_close(feature, tower.ln_final(y[0, -1]) @ out.T, **CLOSE)
    projected = tower(x, end, edits=TextEdits(blocks))
    assert projected.shape == (3, tower.projection.shape[1])
    assert (projected - tower(x, end)).abs().max() > 1e-3


@pytest.mark.parametrize("number", [0, 4])
def test_a_text_block_that_there_is_not_cannot_be_edited(tower: TextTower, number: int) -> None:
    ids = tower.tokenize(TEXTS)
    edits = TextEdits({number: lambda x: x})
    with pytest.raises(InputError, match=f"text block {number} is edited, but this tower has 3 blocks"):
        tower(tower.embed(ids), tower.end_positions(ids), edits=edits)
