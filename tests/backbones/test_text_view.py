"""What parts see of a text tower: the tower's own numbers, and never its memory."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import open_clip
import pytest
import torch
from torch import Tensor, nn

from zsad.backbones.card import BackboneCard
from zsad.backbones.clip import ClipBackbone, state_digest
from zsad.backbones.names import BackboneName
from zsad.backbones.open_clip_loading import from_open_clip
from zsad.backbones.text import TextTower
from zsad.backbones.text_view import KEPT_TEXTS, TowerText

CONFIG = Path(__file__).parents[1] / "assets" / "tiny-clip.json"
TEXTS = ["", "a photo of a damaged metal nut for visual inspection", "flawless carpet"]


def backbone_of(**text_options: object) -> ClipBackbone:
    config = json.loads(CONFIG.read_text())
    config["text_cfg"].update(text_options)
    torch.manual_seed(0)
    model = open_clip.CLIP(**config).eval()
    name = BackboneName(f"{CONFIG}@random:0", str(CONFIG), seed=0)
    return from_open_clip(model, name, BackboneCard("tiny", "nothing"), torch.device("cpu"), torch.float32)


@pytest.fixture(scope="module", params=["causal", "not causal"])
def backbone(request: pytest.FixtureRequest) -> ClipBackbone:
    if request.param == "causal":
        return backbone_of()
    return backbone_of(no_causal_mask=True, pool_type="last")


@pytest.fixture
def tower(backbone: ClipBackbone) -> TextTower:
    found = backbone.text_tower()
    assert found is not None
    return found


@pytest.fixture
def view(tower: TextTower) -> TowerText:
    return TowerText(tower)


@pytest.fixture(autouse=True)
def _no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


def returned(view: TowerText) -> dict[str, Tensor]:
    """Every tensor that a view gives away."""
    ids = view.tokenize(TEXTS)
    words = view.sentences(TEXTS, slots=3)
    projection = view.projection()
    assert projection is not None
    return {
        "ids": ids,
        "embeddings": view.embed(ids),
        "of one id": view.embed(ids[0, 0]),
        "end": view.end_positions(ids),
        "sentences": words.embeddings,
        "ends of sentences": words.end,
        "projection": projection,
    }


def test_widths_are_the_tower_s(view: TowerText, tower: TextTower) -> None:
    assert (view.width, view.depth, view.context_length) == (tower.width, 3, 77)
    assert view.width == tower.token_embedding.shape[1]
    assert not view.rounds_deep_prompts


def test_rounding_is_that_of_the_profile(backbone: ClipBackbone) -> None:
    profile = backbone.native_text_profile
    assert profile is not None
    rounding = backbone.text_tower(profile.model_copy(update={"deep_prompt_cast": "float16"}))
    assert rounding is not None and TowerText(rounding).rounds_deep_prompts


def test_tokens_embeddings_and_ends_are_the_tower_s(view: TowerText, tower: TextTower) -> None:
    ids = tower.tokenize(TEXTS)
    assert torch.equal(view.tokenize(TEXTS), ids) and view.tokenize(TEXTS).dtype == torch.int64
    assert torch.equal(view.embed(ids), tower.token_embedding[ids])
    assert torch.equal(view.end_positions(ids), tower.end_positions(ids))
    assert view.projection() is not None and torch.equal(view.projection(), tower.projection)


@pytest.mark.parametrize("slots", [0, 1, 12])
def test_sentences_with_slots_are_the_tower_s_own(view: TowerText, tower: TextTower, slots: int) -> None:
    found = view.sentences(TEXTS, slots=slots)
    ids = tower.tokenize([" ".join(["X"] * slots + [text]) for text in TEXTS])
    end = tower.end_positions(ids)
    longest = int(end.max())
    assert longest == (76 if not tower.profile.causal else slots + 11)
    assert torch.equal(found.embeddings, tower.embed(ids[:, : longest + 1])) and torch.equal(found.end, end)
    assert found.slots == slice(1, 1 + slots)
    # One token per slot, all of them alike, then the words as they are without slots.
    held = found.embeddings[:, found.slots]
    assert torch.equal(held, held[:1, :1].expand_as(held)) if slots else held.numel() == 0
    own = view.sentences(TEXTS).embeddings[:, 1:]
    moved = found.embeddings[:, found.slots.stop :][:, : own.shape[1]]
    assert torch.equal(moved, own[:, : moved.shape[1]])


def test_sentences_encode_to_what_uncut_ones_do(view: TowerText, tower: TextTower) -> None:
    ids = tower.tokenize(TEXTS)
    words = view.sentences(TEXTS)
    whole = tower(tower.embed(ids), tower.end_positions(ids))
    assert torch.equal(tower(words.embeddings, words.end), whole)


def test_nothing_shares_memory_with_the_tower(
    view: TowerText, tower: TextTower, backbone: ClipBackbone
) -> None:
    frozen = backbone.storages()
    for name, tensor in returned(view).items():
        assert tensor.untyped_storage().data_ptr() not in frozen, name
        assert not tensor.requires_grad
    before = state_digest(tower.state_dict())
    for tensor in returned(view).values():
        tensor.add_(1)
    assert state_digest(tower.state_dict()) == before


def test_every_tensor_of_both_towers_is_known_as_frozen(backbone: ClipBackbone, tower: TextTower) -> None:
    frozen = backbone.storages()
    for module in (backbone.vision_tower(), tower):
        held = dict(module.named_parameters()) | dict(module.named_buffers())
        held |= {name: value for name, value in vars(module).items() if isinstance(value, Tensor)}
        assert len(held) > 20
        places = {name: tensor.untyped_storage().data_ptr() for name, tensor in held.items()}
        assert not [name for name, place in places.items() if place not in frozen]


def test_answers_are_copies_of_their_own(view: TowerText) -> None:
    first = {name: tensor.clone() for name, tensor in returned(view).items()}
    for tensor in returned(view).values():
        tensor.zero_()
    for name, tensor in returned(view).items():
        assert torch.equal(tensor, first[name]), name  # token ids among them, which are kept


def test_the_same_texts_are_tokenised_once(backbone: ClipBackbone, monkeypatch: pytest.MonkeyPatch) -> None:
    tower, asked = backbone.text_tower(), []
    assert tower is not None
    tokenize = tower.tokenize

    def watched(texts: list[str]) -> Tensor:
        asked.append(tuple(texts))
        return tokenize(texts)

    monkeypatch.setattr(tower, "tokenize", watched)
    view = TowerText(tower)
    for texts in (["a"], ["a"], ["b"], ["a"], ["a", "b"]):
        view.sentences(texts)
    assert asked == [("a",), ("b",), ("a", "b")]
    for number in range(KEPT_TEXTS):
        view.tokenize([str(number)])
    view.tokenize(["b"])
    assert asked[-1] == ("b",)


def test_a_copy_of_a_part_holds_no_copy_of_the_tower(view: TowerText, tower: TextTower) -> None:
    class Part(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.text = view
            self.scale = nn.Parameter(torch.ones(2))

    part = Part()
    copied = copy.deepcopy(part)
    assert copied.text is view and copied.scale is not part.scale
    assert copy.deepcopy(view) is view
    assert [name for name, _ in part.named_parameters()] == ["scale"]
    part.to(torch.float64).requires_grad_(False)
    assert tower.token_embedding.dtype == torch.float32


def test_a_tower_without_a_projection_has_none(backbone: ClipBackbone) -> None:
    assert backbone._text is not None and backbone.native_text_profile is not None
    weights = replace(backbone._text, projection=None)
    bare = TextTower(weights, backbone.native_text_profile, lambda texts: torch.zeros(len(texts), 77))
    assert TowerText(bare).projection() is None
