"""WinCLIP's two scorers against loops over windows and patches, and what they are given."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from tests.loading import load_detector
from zsad.backbones.clip import ClipBackbone
from zsad.errors import InputError
from zsad.streams import WindowRequest
from zsad.values import Conditioning, Features, Grid, TokenSet, Windows
from zsad_plugins.winclip.options import ScorerOptions, WindowOptions
from zsad_plugins.winclip.scorers import AnomalyScorer, NormalityScorer
from zsad_plugins.winclip.windows import windows

GRID = Grid(3, 4)
TEMPERATURE = 0.3
OPTIONS = ScorerOptions(temperature=TEMPERATURE)


def covered(size: int) -> list[list[int]]:
    """The patches of every window of a size, row by row."""
    return [
        [(top + y) * GRID.width + left + x for y in range(size) for x in range(size)]
        for top in range(GRID.height - size + 1)
        for left in range(GRID.width - size + 1)
    ]


@pytest.fixture
def features() -> Features:
    draw = torch.Generator().manual_seed(0)
    sets = []
    for size in (2, 3):
        incidence = torch.zeros(len(covered(size)), GRID.count)
        for row, patches in zip(incidence, covered(size), strict=True):
            row[patches] = 1
        tokens = torch.randn(2, len(incidence), 5, generator=draw)
        sets.append(TokenSet(f"windows.{size}", tokens, Windows(GRID, incidence), "joint", 4))
    return Features(tuple(sets), torch.randn(2, 5, generator=draw), ("gear", "tile"), (24, 24))


@pytest.fixture
def conditioning() -> Conditioning:
    text = torch.randn(2, 2, 5, generator=torch.Generator().manual_seed(1))
    return Conditioning(F.normalize(text, dim=-1))


def probability(vector: torch.Tensor, text: torch.Tensor, state: int) -> float:
    cosines = [float(vector @ row) / float(vector.norm()) / TEMPERATURE for row in text]
    return math.exp(cosines[state]) / sum(map(math.exp, cosines))


def harmonic(features: Features, text: torch.Tensor, image: int, patch: int, state: int) -> list[float]:
    """Return, per scale, the harmonic mean of a state's probability over the windows that cover a patch."""
    found = []
    for size, entry in zip((2, 3), features.token_sets, strict=True):
        over = [
            probability(token, text, state)
            for token, patches in zip(entry.tokens[image], covered(size), strict=True)
            if patch in patches
        ]
        found.append(len(over) / sum(1 / p for p in over))
    return found


def test_the_paper_s_map_against_loops(features: Features, conditioning: Conditioning) -> None:
    scores = AnomalyScorer(OPTIONS, None)(features, conditioning)
    (entry,) = scores.sets
    assert entry.values.shape == (2, 1, 3, 4) and entry.kind == "anomaly"
    for image, text in enumerate(conditioning.text_features):
        own = probability(features.image_feature[image], text, 1)
        assert float(scores.required_image_score[image]) == pytest.approx(own, rel=1e-5)
        for patch in range(GRID.count):
            scales = harmonic(features, text, image, patch, 1)
            expected = 3 / (1 / own + sum(1 / value for value in scales))
            found = float(entry.values[image, 0, patch // 4, patch % 4])
            assert found == pytest.approx(expected, rel=1e-5)


def test_the_third_party_map_against_loops(features: Features, conditioning: Conditioning) -> None:
    scores = NormalityScorer(OPTIONS, None)(features, conditioning)
    assert scores.image_score is None
    for image, text in enumerate(conditioning.text_features):
        for patch in range(GRID.count):
            scales = harmonic(features, text, image, patch, 0)
            expected = (1 - 2 / sum(1 / value for value in scales)) / 2
            found = float(scores.sets[0].values[image, 0, patch // 4, patch % 4])
            assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("scorer", [AnomalyScorer, NormalityScorer])
def test_patches_are_refused(
    scorer: type[AnomalyScorer | NormalityScorer], features: Features, conditioning: Conditioning
) -> None:
    tokens = torch.zeros(2, 12, 5)
    patches = Features(
        (TokenSet("t", tokens, GRID, "joint", 4),), features.image_feature, ("a", "b"), (24, 24)
    )
    with pytest.raises(InputError, match="scores windows, and its attention_refiner reads none"):
        scorer(OPTIONS, None)(patches, conditioning)


def test_a_window_per_scale_is_asked_for(tiny_backbone: ClipBackbone) -> None:
    found = windows(WindowOptions(sizes=(2, 5), stride=3), None)
    assert found.windows == (WindowRequest("windows.2", 2, 3), WindowRequest("windows.5", 5, 3))
    assert found.tokens == ()
    detector = load_detector("winclip", backbone=tiny_backbone)
    assert detector.reading.request.windows == (WindowRequest("windows.2", 2), WindowRequest("windows.3", 3))
