"""AF-CLIP's own training: its losses against loops, what learns, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.loading import load_detector
from tests.training.slow import array, unit
from tests.training.stages import First, copied, first_step, learn, loads_back
from zsad.backbones.clip import ClipBackbone
from zsad.detect.detector import Detector
from zsad.plugin.host import get_host
from zsad.recipe.recipes import load_recipe
from zsad.training.learner import learned_state
from zsad_plugins.af_clip.losses import focal, overwritten_slope

MIXED, NORMAL_ONLY, ANOMALOUS_ONLY, ONE = [0, 4, 1], [4, 5], [0, 1, 2], [2]


@pytest.fixture
def load(tiny_backbone: ClipBackbone) -> Callable[..., Detector]:
    def loaded(*overrides: str, **options: Any) -> Detector:
        options = {"backbone": tiny_backbone, "image_size": 32} | options
        return load_detector("af-clip", overrides=overrides, untrained=True, **options)

    return loaded


def slow_focal(p: float, t: float) -> float:
    error = -(t * np.log(p) + (1 - t) * np.log(1 - p))
    return error * (1 - (p * t + (1 - p) * (1 - t))) ** 4


def slow_cells(first: First, side: int) -> list[np.ndarray]:
    """The masks on the grid by the rule of bilinear sampling at the cells' middles."""
    found = []
    for mask in first.batch.masks.numpy().astype(float):
        step = len(mask) // side
        low = step // 2 - 1
        middle = [mask[low + d :: step, low + r :: step][:side, :side] for d in (0, 1) for r in (0, 1)]
        mean = sum(middle) / 4
        found.append(np.where(mean > 0.5, 1.0, np.where(mean < 0.5, 0.0, mean)))
    return found


def slow_alignment(first: First, cells: list[np.ndarray]) -> float:
    terms = []
    for entry in first.adapted.token_sets:
        mixed, equal = [], []
        for tokens, labels in zip(entry.tokens, cells, strict=True):
            vectors, flat = unit(array(tokens)), labels.ravel()
            for i, j in np.ndindex(len(flat), len(flat)):
                if flat[i] in (0, 1) and flat[j] in (0, 1):
                    (equal if flat[i] == flat[j] else mixed).append(vectors[i] @ vectors[j])
        terms.append(max(0.0, np.mean(mixed) - np.mean(equal)) if mixed else 0.0)
    return float(np.mean(terms))


@pytest.mark.parametrize("places", [MIXED, NORMAL_ONLY, ANOMALOUS_ONLY, ONE])
def test_losses_against_loops(load, squares, places) -> None:
    first = first_step(load(image_size=64), squares, places)
    (entry,) = first.scores.sets
    maps = entry.values.double().softmax(1)[:, 1].detach().numpy()
    cells = slow_cells(first, maps.shape[-1])
    found = [
        np.mean([slow_focal(p, t) + abs(p - t) for p, t in zip(m.ravel(), c.ravel(), strict=True)])
        for m, c in zip(maps, cells, strict=True)
    ]
    image = [
        slow_focal(float(p), float(t))
        for p, t in zip(first.scores.image_score.double(), first.batch.anomalous, strict=True)
    ]
    assert first.losses == pytest.approx(
        {
            "af-clip-image": np.mean(image),
            "af-clip-map": np.mean(found),
            "af-clip-alignment": slow_alignment(first, cells),
        },
        rel=2e-4, abs=1e-7,
    )  # fmt: skip


def published(p: Tensor, t: Tensor) -> Tensor:
    """The focal loss as autograd sees it where the target is overwritten between forward and backward."""
    kept = t.clone()
    error = torch.nn.functional.binary_cross_entropy(p, kept, reduction="none")
    value = error * (1 - (p * kept + (1 - p) * (1 - kept))) ** 4
    # Memory that is shared without autograd's knowledge.
    kept.detach().numpy()[kept.numpy() == 0] = -1
    return value


def test_the_published_gradient_is_that_of_an_overwritten_target() -> None:
    torch.manual_seed(0)
    target = torch.tensor([0.0, 0, 0, 1, 1])
    p = torch.rand(5).requires_grad_()
    (expected,) = torch.autograd.grad(published(p, target).sum(), p)
    normal = target == 0
    torch.testing.assert_close(overwritten_slope(p, target).detach()[normal], expected[normal])
    (clean,) = torch.autograd.grad(focal(p, target).sum(), p)
    torch.testing.assert_close(clean[~normal], expected[~normal])
    assert (expected[normal] > 2 * clean[normal]).all()


def test_the_option_changes_gradients_and_no_value(load, squares) -> None:
    losses, states = [], []
    for option in ("mask", "as-published"):
        detector = load(f"training.losses.af-clip-map.options.gradient={option}")
        losses.append(first_step(detector, squares, MIXED).losses)
        detector = load(f"training.losses.af-clip-map.options.gradient={option}")
        learn(detector, squares, epochs=1, batch_size=3)
        states.append(copied(learned_state(detector)))
    assert losses[0] == losses[1]
    name = "feature_adapter.out_proj.weight"
    assert not torch.equal(states[0][name], states[1][name])


def test_prompts_and_adapter_learn_and_the_loss_falls(load, squares, tmp_path) -> None:
    detector = load(image_size=64)
    (stage,) = learn(detector, squares, epochs=6, batch_size=4, learning_rate=1e-3)
    assert stage.fell and not stage.same
    loads_back(detector, load(image_size=64, seed=1), squares, tmp_path / "weights.safetensors")


def test_the_plan_is_that_of_the_authors() -> None:
    plan = load_recipe(get_host(), "af-clip").training
    assert (plan.epochs, plan.batch_size, plan.optimiser, plan.then) == (2, 8, "adam", None)
    assert (plan.learning_rate, plan.betas, plan.schedule) == (1e-4, (0.5, 0.999), "constant")
    assert {name: choice.weight for name, choice in plan.losses.items()} == {
        "af-clip-image": 1, "af-clip-map": 1, "af-clip-alignment": 1,
    }  # fmt: skip
    assert plan.losses["af-clip-map"].options == {"gradient": "mask"}
