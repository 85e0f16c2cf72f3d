"""Local-to-global fusion and the two orders of softmax and mean."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from tests.plugins.contexts import TEXTLESS
from zsad.errors import InputError
from zsad.values import Conditioning, Features, Grid, Scores, ScoreSet, TokenSet, Windows
from zsad_plugins.crane.fuse import Fuse
from zsad_plugins.crane.local_to_global import LocalToGlobal
from zsad_plugins.crane.options import FuseOptions, LocalToGlobalOptions
from zsad_plugins.standard.options import CosineOptions
from zsad_plugins.standard.scorers import CosineScorer

GRID = Grid(2, 3)


def features_of(*tokens: torch.Tensor, layout: Grid | Windows = GRID) -> Features:
    sets = tuple(
        TokenSet(f"set.{place}", entry, layout, "joint", place) for place, entry in enumerate(tokens)
    )
    image = torch.randn(2, 4, generator=torch.Generator().manual_seed(9))
    return Features(sets, image, ("a", "b"), (12, 12))


@pytest.fixture
def tokens() -> list[torch.Tensor]:
    random = torch.Generator().manual_seed(3)
    return [torch.randn(2, 6, 4, generator=random) for _ in range(2)]


@pytest.fixture
def conditioning() -> Conditioning:
    text = torch.randn(2, 2, 4, generator=torch.Generator().manual_seed(4))
    return Conditioning(F.normalize(text, dim=-1))


def test_patches_vote_by_their_scores(tokens, conditioning) -> None:
    features = features_of(*tokens)
    scores = LocalToGlobal(LocalToGlobalOptions(), TEXTLESS)(features, conditioning)
    for image in range(2):
        text = conditioning.text_features[image]
        logits, units = [], []
        for entry in tokens:
            unit = entry[image] / entry[image].norm(dim=-1, keepdim=True)
            units.append(unit)
            logits.append(unit @ text.T / 0.07)
        mean = (units[0] + units[1]) / 2
        weight = torch.softmax((logits[0] + logits[1]) / 2, -1)[:, 1]
        local = torch.zeros(4)
        for place in range(6):
            local += weight[place] * mean[place]
        own = features.image_feature[image]
        mixed = 0.5 * local / local.norm() + 0.5 * own / own.norm()
        expected = torch.softmax(mixed / mixed.norm() @ text.T / 0.07, -1)[1]
        torch.testing.assert_close(scores.image_score[image], expected)
        torch.testing.assert_close(scores.sets[1].values[image].flatten(1).T, logits[1])


def test_without_a_share_it_is_the_standard_scorer(tokens, conditioning) -> None:
    features = features_of(*tokens)
    own = LocalToGlobal(LocalToGlobalOptions(share=0), TEXTLESS)(features, conditioning)
    standard = CosineScorer(CosineOptions(temperature=0.07))(features, conditioning)
    torch.testing.assert_close(own.image_score, standard.image_score)
    for one, other in zip(own.sets, standard.sets, strict=True):
        torch.testing.assert_close(one.values, other.values)


def test_windows_are_refused(tokens, conditioning) -> None:
    with pytest.raises(InputError, match=r"'set\.0' holds windows, where patches on a grid are read"):
        windows = Windows(GRID, torch.ones(6, 6))
        LocalToGlobal(LocalToGlobalOptions(), TEXTLESS)(features_of(*tokens, layout=windows), conditioning)


def test_sets_of_different_grids_are_refused(tokens, conditioning) -> None:
    features = features_of(*tokens)
    first, second = features.token_sets
    other = replace(features, token_sets=(first, replace(second, layout=Grid(3, 2))))
    with pytest.raises(InputError, match="one and the same grid, and its token sets have 2"):
        LocalToGlobal(LocalToGlobalOptions(), TEXTLESS)(other, conditioning)


def fuse(soft_mean: bool) -> Fuse:
    return Fuse(FuseOptions(soft_mean=soft_mean), TEXTLESS)


def scores_of(kind: str = "logits") -> Scores:
    random = torch.Generator().manual_seed(5)
    values = [torch.randn(2, 2, 2, 3, generator=random) * 4 for _ in range(3)]
    return Scores(tuple(ScoreSet(str(n), entry, kind) for n, entry in enumerate(values)))  # type: ignore[arg-type]


@pytest.mark.parametrize("soft_mean", [True, False])
def test_maps_are_joined_in_the_order_of_the_option(soft_mean: bool) -> None:
    scores, features = scores_of(), features_of()
    grids = [entry.values for entry in scores.sets]

    def up(grid: torch.Tensor) -> torch.Tensor:
        return F.interpolate(grid, (12, 12), mode="bilinear", align_corners=False)

    if soft_mean:
        expected = torch.stack([up(grid.softmax(1))[:, 1] for grid in grids]).mean(0)
    else:
        expected = torch.stack([up(grid) for grid in grids]).mean(0).softmax(1)[:, 1]
    found, other = fuse(soft_mean)(scores, features).map, fuse(not soft_mean)(scores, features).map
    torch.testing.assert_close(found, expected)
    assert (found - other).abs().max() > 1e-2


def test_probabilities_are_refused() -> None:
    with pytest.raises(InputError, match=r"crane\.fuse joins logits; '0' holds probabilities"):
        fuse(True)(scores_of("probabilities"), features_of())
