"""The losses of ``mini`` against loops in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tools.train_mini import losses
from tools.train_mini.losses import FULL_COVER, STATE_SCALE

BATCH, PATCHES, WIDTH = 3, 6, 8


@pytest.fixture
def draw():
    generator = torch.Generator().manual_seed(0)

    def run(*shape, unit=False):
        values = torch.randn(*shape, generator=generator)
        return F.normalize(values, dim=-1) if unit else values

    return run


@pytest.fixture
def target():
    """[B, N] soft targets; the first image is normal."""
    values = torch.rand(BATCH, PATCHES, generator=torch.Generator().manual_seed(1))
    values = (2 * values - 1).clamp(min=0)
    values[0] = 0
    return values


def unit(vector):
    return vector / np.linalg.norm(vector)


def log_softmax(logits):
    logits = np.asarray(logits, np.float64)
    shifted = logits - logits.max()
    return shifted - math.log(np.exp(shifted).sum())


def test_contrastive(draw) -> None:
    images, texts = draw(4, WIDTH, unit=True), draw(4, WIDTH, unit=True)
    same = torch.eye(4, dtype=torch.bool)
    same[0, 2] = same[2, 0] = True
    found = losses.contrastive(images, texts, same, torch.tensor(7.0))
    rows, columns = images.double().numpy(), texts.double().numpy()
    total = 0.0
    for one, other in ((rows, columns), (columns, rows)):
        for place in range(4):
            shares = log_softmax([7 * one[place] @ other[k] for k in range(4)])
            positives = [k for k in range(4) if same[place, k]]
            total -= sum(shares[k] for k in positives) / len(positives)
    assert float(found) == pytest.approx(total / 8, rel=1e-5)


def test_contrastive_on_pairs_alone_is_clips(draw) -> None:
    images, texts, places = draw(5, WIDTH, unit=True), draw(5, WIDTH, unit=True), torch.arange(5)
    logits = 10 * images @ texts.T
    known = (F.cross_entropy(logits, places) + F.cross_entropy(logits.T, places)) / 2
    found = losses.contrastive(images, texts, torch.eye(5, dtype=torch.bool), torch.tensor(10.0))
    torch.testing.assert_close(found, known)


def test_patch_targets() -> None:
    cover = torch.tensor([[[0.0, FULL_COVER / 4], [FULL_COVER, 1.0]]])
    torch.testing.assert_close(losses.patch_targets(cover), torch.tensor([[0.0, 0.25, 1.0, 1.0]]))
    assert losses.patch_targets(torch.zeros(2, 3, 5, 5)).shape == (2, 3, 25)


def test_state_logits(draw) -> None:
    tokens = draw(BATCH, PATCHES, WIDTH)
    normal, abnormal = draw(BATCH, WIDTH, unit=True), draw(BATCH, WIDTH, unit=True)
    found = losses.state_logits(tokens.to(torch.bfloat16), normal, abnormal)
    assert found.dtype == torch.float32
    found = losses.state_logits(tokens, normal, abnormal)
    for image, patch in np.ndindex(BATCH, PATCHES):
        token = unit(tokens[image, patch].double().numpy())
        pair = [token @ state[image].double().numpy() for state in (normal, abnormal)]
        assert float(found[image, patch]) == pytest.approx(
            STATE_SCALE * (pair[1] - pair[0]), rel=1e-4, abs=1e-4
        )


def test_focal(draw, target) -> None:
    logits = 3 * draw(BATCH, PATCHES)
    sums, weights = [0.0, 0.0], [0.0, 0.0]
    for place in np.ndindex(BATCH, PATCHES):
        share, chance = float(target[place]), 1 / (1 + math.exp(-float(logits[place])))
        entropy = -share * math.log(chance) - (1 - share) * math.log(1 - chance)
        loss = abs(chance - share) ** losses.FOCAL_POWER * entropy
        for state, weight in enumerate((1 - share, share)):
            sums[state] += weight * loss
            weights[state] += weight
    expected = sum(total / max(weight, 1) for total, weight in zip(sums, weights, strict=True))
    assert float(losses.focal(logits, target)) == pytest.approx(expected, rel=1e-5)


def test_dice(draw, target) -> None:
    logits = draw(BATCH, PATCHES)
    found = []
    for image in range(BATCH):
        wanted = target[image].double().numpy()
        chance = 1 / (1 + np.exp(-logits[image].double().numpy()))
        if wanted.sum() > 0:
            found.append(1 - (2 * (chance * wanted).sum() + 1) / (chance.sum() + wanted.sum() + 1))
    assert len(found) == BATCH - 1
    assert float(losses.dice(logits, target)) == pytest.approx(np.mean(found), rel=1e-5)
    assert float(losses.dice(logits, torch.zeros_like(target))) == 0


def test_naming(draw) -> None:
    features, names = draw(BATCH, WIDTH), draw(5, WIDTH, unit=True)
    target = torch.tensor([3, -1, 0])
    expected = []
    for image in (0, 2):
        logits = [STATE_SCALE * unit(features[image].double().numpy()) @ n.double().numpy() for n in names]
        expected.append(-log_softmax(logits)[int(target[image])])
    assert float(losses.naming(features, names, target)) == pytest.approx(np.mean(expected), rel=1e-4)


def test_naming_nobody_is_nothing_with_a_gradient(draw) -> None:
    features = draw(2, WIDTH).requires_grad_()
    loss = losses.naming(features, draw(5, WIDTH, unit=True), torch.tensor([-1, -1]))
    loss.backward()
    assert float(loss.detach()) == 0 and features.grad is not None and not features.grad.any()


def test_type_maps(draw) -> None:
    tokens, normal = draw(BATCH, PATCHES, WIDTH), draw(BATCH, WIDTH, unit=True)
    names = draw(4, WIDTH, unit=True)
    cover = torch.rand(BATCH, 2, PATCHES, generator=torch.Generator().manual_seed(2))
    kind = torch.tensor([[-1, -1], [3, -1], [1, 2]])
    cover[kind < 0] = 0
    inside = outside = wanted = rest = 0.0
    for image, patch in np.ndindex(BATCH, PATCHES):
        token = unit(tokens[image, patch].double().numpy())
        states = [normal[image], *names]
        share = log_softmax([STATE_SCALE * token @ state.double().numpy() for state in states])
        for slot in range(2):
            weight = float(cover[image, slot, patch])
            if int(kind[image, slot]) >= 0:
                inside -= weight * share[1 + int(kind[image, slot])]
            wanted += weight
        free = 1 - float(cover[image, :, patch].max())
        outside -= free * share[0]
        rest += free
    expected = inside / max(wanted, 1) + outside / max(rest, 1)
    assert float(losses.type_maps(tokens, normal, names, cover, kind)) == pytest.approx(expected, rel=1e-4)


def test_region_features(draw) -> None:
    tokens, cover = draw(2, PATCHES, WIDTH), torch.zeros(2, 2, PATCHES)
    cover[0, 0, 1], cover[0, 0, 4], cover[1, 1, 2] = 1.0, 0.5, 0.25
    found = losses.region_features(tokens, cover)
    assert found.shape == (4, WIDTH)
    torch.testing.assert_close(found[0], (2 * tokens[0, 1] + tokens[0, 4]) / 3)
    torch.testing.assert_close(found[3], tokens[1, 2])
    assert not found[1].any() and not found[2].any()


@pytest.mark.parametrize("height", [0.0, 300.0, -300.0])
def test_gradients_are_finite(target, height) -> None:
    logits = torch.full((BATCH, PATCHES), height, requires_grad=True)
    (losses.focal(logits, target) + losses.dice(logits, target)).backward()
    assert logits.grad is not None and bool(logits.grad.isfinite().all())
