"""The losses of learned-prompt methods against loops in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torchvision.ops import sigmoid_focal_loss

from zsad.training.losses import cross_entropy, dice, focal
from zsad.values import ABNORMAL, NORMAL


def slow_focal(probabilities: np.ndarray, mask: np.ndarray) -> float:
    """Return AnomalyCLIP's focal loss, pixel by pixel."""
    total = 0.0
    for place in np.ndindex(mask.shape):
        image, row, column = place
        truth = 1e-5
        for channel in (NORMAL, ABNORMAL):
            hot = float((channel == ABNORMAL) == bool(mask[place]))
            truth += min(max(hot, 1e-5), 1 - 1e-5) * float(probabilities[image, channel, row, column])
        total += -((1 - truth) ** 2) * math.log(truth)
    return total / mask.size


def slow_dice(probability: np.ndarray, mask: np.ndarray) -> float:
    """Return the dice loss with the smoothing 1, image by image."""
    scores = []
    for found, wanted in zip(probability, mask, strict=True):
        overlap = union = 0.0
        for place in np.ndindex(wanted.shape):
            overlap += float(found[place]) * float(wanted[place])
            union += float(found[place]) + float(wanted[place])
        scores.append((2 * overlap + 1) / (union + 1))
    return 1 - sum(scores) / len(scores)


@pytest.fixture(params=[0, 1])
def case(request) -> tuple[torch.Tensor, torch.Tensor]:
    """Probabilities [3, 2, 5, 7] and a mask [3, 5, 7] whose first image is normal."""
    generator = torch.Generator().manual_seed(request.param)
    logits = 3 * torch.randn(3, 2, 5, 7, generator=generator)
    mask = (torch.rand(3, 5, 7, generator=generator) < 0.3).float()
    mask[0] = 0
    return torch.softmax(logits, dim=1), mask


def test_focal_against_a_loop(case) -> None:
    probabilities, mask = case
    assert float(focal(probabilities, mask).mean()) == pytest.approx(
        slow_focal(probabilities.numpy(), mask.numpy()), rel=1e-5
    )


def test_focal_is_torchvisions_up_to_smoothing(case) -> None:
    mild, mask = case[0] ** 0.3, case[1]  # far from 0, where the smoothing of 1e-5 shows
    probabilities = mild / mild.sum(dim=1, keepdim=True)
    logits = (probabilities[:, ABNORMAL] / probabilities[:, NORMAL]).log()
    known = sigmoid_focal_loss(logits, mask, alpha=-1, gamma=2, reduction="mean")
    torch.testing.assert_close(focal(probabilities, mask).mean(), known, rtol=1e-3, atol=1e-6)


def test_dice_against_a_loop(case) -> None:
    probabilities, mask = case
    for state, target in ((ABNORMAL, mask), (NORMAL, 1 - mask)):
        found = float(dice(probabilities[:, state], target).mean())
        assert found == pytest.approx(slow_dice(probabilities[:, state].numpy(), target.numpy()), rel=1e-5)


def test_dice_at_its_ends() -> None:
    mask = torch.zeros(2, 4, 4)
    mask[1, :2] = 1
    assert dice(mask, mask).tolist() == pytest.approx([0, 0], abs=1e-7)
    # Image 0 has nothing to overlap: 1 / 17; image 1 misses all of 8 with 8: 1 / 17.
    assert dice(1 - mask, mask).tolist() == pytest.approx([1 - 1 / 17] * 2)


def map_loss(probabilities: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return focal and both dice losses, as AnomalyCLIP sums them."""
    both = dice(probabilities[:, ABNORMAL], mask) + dice(probabilities[:, NORMAL], 1 - mask)
    return (focal(probabilities, mask) + both).mean()


def test_an_image_keeps_its_loss_whatever_its_neighbours(case) -> None:
    probabilities, mask = case
    for place in range(len(mask)):
        own = slice(place, place + 1)
        assert torch.equal(focal(probabilities, mask)[own], focal(probabilities[own], mask[own]))
        found = dice(probabilities[:, ABNORMAL], mask)[own]
        assert torch.equal(found, dice(probabilities[own, ABNORMAL], mask[own]))


@pytest.mark.parametrize("dtype", [torch.bool, torch.float32, torch.int64])
def test_the_image_loss_is_the_cross_entropy_of_the_logits(dtype) -> None:
    logits = torch.randn(6, 2, generator=torch.Generator().manual_seed(0))
    label = torch.tensor([0, 1, 1, 0, 1, 0])
    probability = torch.softmax(logits, dim=1)[:, ABNORMAL]
    known = torch.nn.functional.cross_entropy(logits, label)
    torch.testing.assert_close(cross_entropy(probability, label.to(dtype)).mean(), known)
    colder = torch.nn.functional.cross_entropy(logits * 0.07 / 0.01, label)
    torch.testing.assert_close(cross_entropy(probability, label, 0.07 / 0.01).mean(), colder)


def test_gradients_are_finite_where_probabilities_are_zero_and_one() -> None:
    mask = torch.tensor([[[0.0, 1.0], [0.0, 1.0]]])
    abnormal = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]])  # right, right, wrong, wrong
    probabilities = torch.stack([1 - abnormal, abnormal], dim=1).requires_grad_()
    loss = map_loss(probabilities, mask)
    loss.backward()
    assert loss.isfinite() and probabilities.grad is not None
    assert bool(probabilities.grad.isfinite().all())
    # A descent raises what is wrong.
    assert probabilities.grad[0, ABNORMAL, 1, 1] < 0 and probabilities.grad[0, NORMAL, 1, 0] < 0

    score = torch.tensor([0.0, 1.0, 0.0, 1.0], requires_grad=True)
    loss = cross_entropy(score, torch.tensor([0, 1, 1, 0])).mean()
    loss.backward()
    assert loss.isfinite() and score.grad is not None and bool(score.grad.isfinite().all())


def test_better_maps_lose_less(case) -> None:
    probabilities, mask = case
    perfect = torch.stack([1 - mask, mask], dim=1)
    losses = [float(map_loss(torch.lerp(probabilities, perfect, share), mask)) for share in (0, 0.5, 0.9, 1)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] == pytest.approx(0, abs=1e-6)
