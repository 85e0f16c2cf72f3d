from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.backbones.clip import ClipBackbone
from zsad.backbones.text import TextTower
from zsad.detect.text_side import TextSide, reduce_prompts
from zsad.prompts import DeepPrompts, Prompts, Reduction
from zsad.values import Conditioning, Features, Provisional, Scores, ScoreSet

CLOSE = {"atol": 1e-5, "rtol": 1e-5}
STATE = torch.tensor([0, 0, 1, 1, 1])


@pytest.fixture(autouse=True)
def _no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.fixture
def tower(tiny_backbone: ClipBackbone) -> TextTower:
    tower = tiny_backbone.text_tower()
    assert tower is not None
    return tower


@dataclass
class Words:
    """As many prompts as the noun has letters, of both states in turn."""

    tower: TextTower
    class_agnostic: bool = False
    asked: list[str] = field(default_factory=list)

    def __call__(self, class_name: str) -> Prompts:
        self.asked.append(class_name)
        ids = self.tower.tokenize([f"{class_name} {letter}" for letter in class_name or "ab"])
        state = torch.arange(len(ids)) % 2
        return Prompts(self.tower.embed(ids), self.tower.end_positions(ids), state)


def shifted(prompts: Prompts, features: Features) -> tuple[Prompts, Mapping[str, Tensor]]:
    shift = features.image_feature.mean(1)[:, None, None]
    embeddings = prompts.embeddings.clone()
    embeddings[:, :, 1] += shift
    return replace(prompts, embeddings=embeddings), {"shift": shift}


def features_of(*names: str) -> Features:
    seen = torch.randn(len(names), 32, generator=torch.Generator().manual_seed(0))
    return Features((), seen, names, (64, 64))


def test_reduction_by_hand() -> None:
    features = torch.randn(5, 7)
    for each in (True, False):
        rows = F.normalize(features, dim=-1) if each else features
        pair = torch.stack([rows[:2].mean(0), rows[2:].mean(0)])
        pair = pair / pair.norm(dim=-1, keepdim=True)
        torch.testing.assert_close(reduce_prompts(features, STATE, Reduction(each)), pair)
        joint = reduce_prompts(features, STATE, Reduction(each, joint_norm=True))
        torch.testing.assert_close(joint, pair / 2**0.5)


def test_weights_leave_prompts_out_per_image() -> None:
    features = torch.randn(2, 5, 7)
    weights = torch.tensor([[1.0, 1, 0, 1, 0], [0.5, 2, 3, 1, 0]])
    found = reduce_prompts(features, STATE, Reduction(), weights)
    rows = F.normalize(features, dim=-1)
    torch.testing.assert_close(found[0, 1], F.normalize(rows[0, 3], dim=-1))
    torch.testing.assert_close(found[1, 0], F.normalize(0.5 * rows[1, 0] + 2 * rows[1, 1], dim=-1))


def test_constant_features_are_encoded_once_per_class(tower: TextTower) -> None:
    learner = Words(tower)
    side = TextSide(tower, learner, None)
    first = side(features_of("gear", "tile", "gear"))
    again = side(features_of("tile"))
    assert (learner.asked, side.encodings) == (["gear", "tile"], 2)
    torch.testing.assert_close(first.text_features[1], again.text_features[0])
    torch.testing.assert_close(first.text_features[0], first.text_features[2])
    assert (first.text_features[0] - first.text_features[1]).abs().max() > 1e-3
    side.forget()
    side(features_of("tile"))
    assert side.encodings == 3


class LearnedWords(torch.nn.Module):
    """Words shifted by something that is learned."""

    def __init__(self, tower: TextTower) -> None:
        super().__init__()
        self.words, self.class_agnostic = Words(tower), False
        self.shift = torch.nn.Parameter(torch.zeros(()))

    def forward(self, class_name: str) -> Prompts:
        prompts = self.words(class_name)
        return replace(prompts, embeddings=prompts.embeddings + self.shift)


@pytest.mark.parametrize("conditioner", [shifted, None])
def test_what_learns_is_not_cached_while_gradients_are_recorded(tower: TextTower, conditioner) -> None:
    learner = LearnedWords(tower)
    side = TextSide(tower, learner, conditioner)
    side(features_of("gear"))
    for _ in range(2):
        with torch.enable_grad():
            side(features_of("gear")).text_features.square()[:, 0, 0].sum().backward()
    assert learner.words.asked == ["gear"] * 3 and learner.shift.grad is not None
    side(features_of("gear"))
    assert learner.words.asked == ["gear"] * 3


@pytest.mark.parametrize("conditioner", [shifted, None])
def test_what_learns_nothing_is_encoded_once_while_gradients_are_recorded(
    tower: TextTower, conditioner
) -> None:
    side = TextSide(tower, words := Words(tower), conditioner)
    with torch.enable_grad():
        first, again = side(features_of("gear")), side(features_of("gear"))
    assert words.asked == ["gear"]
    assert torch.equal(first.text_features, again.text_features)
    assert torch.equal(side(features_of("gear")).text_features, first.text_features)


def test_a_tower_that_learns_encodes_anew(tower: TextTower) -> None:
    side = TextSide(tower, words := Words(tower), None)
    side(features_of("gear"))
    tower.ln_final.weight.requires_grad_(True)
    try:
        with torch.enable_grad():
            assert side(features_of("gear")).text_features.requires_grad
    finally:
        tower.ln_final.weight.requires_grad_(False)
    assert words.asked == ["gear"] * 2


def test_object_agnostic_prompts_serve_every_class(tower: TextTower) -> None:
    learner = Words(tower, class_agnostic=True)
    found = TextSide(tower, learner, None)(features_of("gear", "tile"))
    assert learner.asked == [""]
    assert torch.equal(found.text_features[0], found.text_features[1])


def test_mixed_classes_are_conditioned_as_alone(tower: TextTower) -> None:
    side = TextSide(tower, Words(tower), shifted)
    features = features_of("gear", "tile", "gear", "metal nut")
    mixed = side(features)
    assert mixed.raw is None  # four and nine prompts have no common array
    for place, name in enumerate(features.class_names):
        alone = side(features.select([place]))
        torch.testing.assert_close(mixed.text_features[place], alone.text_features[0], **CLOSE)
        torch.testing.assert_close(mixed.intermediates["shift"][place], alone.intermediates["shift"][0])
        ids = tower.tokenize([f"{name} {letter}" for letter in name])
        x = tower.embed(ids)
        x[:, 1] += features.image_feature[place].mean()
        rows = F.normalize(tower(x, tower.end_positions(ids)), dim=-1)
        pair = torch.stack([F.normalize(rows[s::2].mean(0), dim=-1) for s in (0, 1)])
        torch.testing.assert_close(mixed.text_features[place], pair, **CLOSE)
    assert side(features.select([0, 1])).raw is not None


def test_a_conditioner_may_add_prompts_and_deep_tokens(tower: TextTower) -> None:
    deep = torch.randn(2, 6, 3, 64)

    def tripled(prompts: Prompts, features: Features) -> tuple[Prompts, Mapping[str, Tensor]]:
        state = prompts.state.repeat(3)
        end = prompts.end.repeat(len(features), 3)
        embeddings = prompts.embeddings.repeat(1, 3, 1, 1)
        return replace(prompts, embeddings=embeddings, end=end, state=state, deep=DeepPrompts((deep,))), {}

    found = TextSide(tower, Words(tower, class_agnostic=True), tripled)(features_of("x", "y"))
    ids = tower.tokenize([" a", " b"])
    assert found.raw is not None
    for image in range(2):
        for number in range(6):
            row = ids[[number % 2]]
            alone = tower(tower.embed(row), tower.end_positions(row), DeepPrompts((deep[image, number],)))
            torch.testing.assert_close(found.raw[image, number], alone[0], **CLOSE)


@dataclass
class Asked:
    """A scorer that notes what it is asked: the anomaly of a place is its image's cosine with each state."""

    seen: list[Conditioning] = field(default_factory=list)

    def __call__(self, features: Features, conditioning: Conditioning) -> Scores:
        self.seen.append(conditioning)
        image = F.normalize(features.image_feature, dim=-1)
        logits = (conditioning.text_features @ image[..., None])[..., None]
        return Scores((ScoreSet("one", logits, "logits"),)).with_image_score(logits[:, 1, 0, 0], "asked")


class Second:
    """Shifts the prompts by what the first look found."""

    def condition(
        self, prompts: Prompts, features: Features, provisional: Provisional
    ) -> tuple[Prompts, Mapping[str, Tensor]]:
        shift = provisional.scores.sets[0].values[:, 1, 0, 0]
        embeddings = prompts.embeddings.clone()
        embeddings[:, :, 1, ::2] += shift[:, None, None]  # of all channels, the norms would take it off
        return replace(prompts, embeddings=embeddings), {"shift": shift}


def test_a_conditioner_may_ask_for_provisional_scores(tower: TextTower) -> None:
    words, scorer = Words(tower), Asked()
    side = TextSide(tower, words, Second(), scorer)
    features = features_of("gear", "tile", "gear")
    found = side(features)
    # Per class: the unedited prompts once, and the edited ones; the scorer saw the unedited.
    assert (words.asked, side.encodings, len(scorer.seen)) == (["gear", "gear", "tile", "tile"], 4, 2)
    plain = TextSide(tower, Words(tower), None)(features)
    first = found.provisional
    assert first is not None and first.conditioning.raw is not None
    torch.testing.assert_close(first.conditioning.text_features, plain.text_features)
    expected = (plain.text_features @ F.normalize(features.image_feature, dim=-1)[..., None])[..., 0]
    torch.testing.assert_close(first.scores.sets[0].values[..., 0, 0], expected)
    torch.testing.assert_close(found.intermediates["shift"], expected[:, 1])
    assert (found.text_features - plain.text_features).abs().amax((1, 2)).min() > 1e-3
    # Again: what is constant is kept.
    side(features)
    assert side.encodings == 6


def test_provisional_scores_follow_their_images(tower: TextTower) -> None:
    side = TextSide(tower, Words(tower), Second(), Asked())
    features = features_of("gear", "metal nut", "gear", "tile")
    mixed = side(features)
    assert mixed.raw is None and mixed.provisional is not None
    assert mixed.provisional.conditioning.raw is None
    for place in range(4):
        alone = side(features.select([place]))
        chosen = mixed.select([place])
        assert alone.provisional is not None and chosen.provisional is not None
        for one, other in (
            (alone.text_features, chosen.text_features),
            (alone.provisional.conditioning.text_features, chosen.provisional.conditioning.text_features),
            (alone.provisional.scores.sets[0].values, chosen.provisional.scores.sets[0].values),
            (alone.provisional.scores.image_score, chosen.provisional.scores.image_score),
        ):
            torch.testing.assert_close(one, other, **CLOSE)


def test_provisional_scores_of_what_learns_carry_gradients(tower: TextTower) -> None:
    side = TextSide(tower, LearnedWords(tower), Second(), Asked())
    with torch.enable_grad():
        found = side(features_of("gear", "gear"))
    assert found.provisional is not None and found.provisional.scores.sets[0].values.requires_grad
    assert found.provisional.conditioning.text_features.requires_grad
