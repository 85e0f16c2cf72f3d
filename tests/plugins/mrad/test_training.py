"""MRAD's own training: the memory of a dataset, the linear maps on top of it, and what comes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from tests.loading import load_detector
from tests.training.memory import MemoryBatches
from tests.training.slow import array, unit
from tests.training.stages import first_step
from zsad.backbones.clip import ClipBackbone
from zsad.detect.detector import Detector
from zsad.plugin.host import get_host
from zsad.recipe.recipes import load_recipe
from zsad.training.fill import Filler
from zsad.training.learner import learned_state
from zsad.training.run import Run, Setup


@pytest.fixture
def load(tiny_backbone: ClipBackbone) -> Callable[..., Detector]:
    def loaded(*overrides: str, method: str = "mrad", **options: Any) -> Detector:
        options = {"backbone": tiny_backbone, "image_size": 64, "untrained": True} | options
        return load_detector(method, overrides=overrides, **options)

    return loaded


def run_of(detector: Detector, dataset, folder) -> Run:
    setup = Setup(detector.recipe.recipe.training, lambda stage: MemoryBatches(stage, dataset), "abc")
    return Run(detector, setup, folder, get_host())


def test_the_memory_of_a_dataset(load, squares, tmp_path) -> None:
    detector = load()
    (epoch,) = run_of(detector, squares, tmp_path / "w").epochs()
    batches = MemoryBatches(detector, squares)
    adapted, masks = detector.adapt(batches.features), batches.masks.numpy()
    side = adapted.grid.width
    step = masks.shape[-1] // side
    keys, states = [], []
    for tokens, mask in zip(adapted.token_sets[0].tokens, masks, strict=True):
        cells = mask[step // 2 - 1 :: step, step // 2 - 1 :: step][:side, :side].ravel().astype(int)
        for low, right in ((0, 1), (1, 0), (1, 1)):
            cells = cells + mask[step // 2 - 1 + low :: step, step // 2 - 1 + right :: step].ravel()
        for state, count in ((True, 4), (False, 0)):
            if (cells == count).any():
                keys.append(unit(array(tokens)[cells == count].mean(0)))
                states.append(state)
    memory = detector.part("scorer")
    np.testing.assert_allclose(memory.patch_keys.numpy(), np.stack(keys), atol=1e-5)
    assert memory.patch_anomalous.tolist() == states
    np.testing.assert_allclose(
        memory.image_keys.numpy(), unit(array(batches.features.image_feature)), atol=1e-5
    )
    assert memory.image_anomalous.tolist() == batches.anomalous.tolist()
    assert epoch.losses == {} and epoch.remembered["scorer.patch_keys"] == len(keys)


def test_a_filled_memory_tells_the_squares_apart_and_loads_back(load, squares, tmp_path) -> None:
    detector = load()
    images = [image.image for image in squares.images]
    list(run_of(detector, squares, tmp_path / "w").epochs())
    prediction = detector.predict(images)
    score = prediction.score[torch.tensor([image.anomalous for image in squares.images])].min()
    assert score > prediction.score[torch.tensor([not image.anomalous for image in squares.images])].max()
    fresh = load(weights=tmp_path / "w" / "weights.safetensors", untrained=False, seed=3)
    torch.testing.assert_close(fresh.predict(images).anomaly_map, prediction.anomaly_map)
    assert fresh.setting == "auxiliary-trained / inductive / zero-shot"


def test_a_memory_needs_no_text_tower(load, textless_backbone, squares, tmp_path) -> None:
    found = []
    for backbone in ({}, {"backbone": textless_backbone}):
        detector = load(**backbone)
        list(run_of(detector, squares, tmp_path / str(len(found))).epochs())
        found.append(detector.predict([squares.images[0].image]).anomaly_map)
    assert torch.equal(*found)


def test_the_batch_size_changes_nothing(load, squares) -> None:
    found = []
    for size in (1, 3, 8):
        detector = load()
        plan = detector.recipe.recipe.training.model_copy(update={"batch_size": size})
        list(Filler(detector, plan, MemoryBatches(detector, squares)).epochs())
        found.append(learned_state(detector)["scorer.patch_keys"].clone())
    for other in found[1:]:
        torch.testing.assert_close(found[0], other, atol=1e-6, rtol=0)


def test_linear_maps_learn_on_top_of_the_memory(load, squares, tmp_path) -> None:
    detector = load("training.then.epochs=4", "training.then.schedule=constant", method="mrad@ft")
    fresh = {name: tensor.clone() for name, tensor in learned_state(detector).items()}
    epochs = list(run_of(detector, squares, tmp_path / "w").epochs())
    assert [(epoch.stage, epoch.number) for epoch in epochs] == [(1, 1), *((2, n) for n in (1, 2, 3, 4))]
    assert sum(epochs[-1].losses.values()) < sum(epochs[1].losses.values())
    state = learned_state(detector)
    alone = load()
    list(run_of(alone, squares, tmp_path / "alone").epochs())
    for name, tensor in learned_state(alone).items():
        assert torch.equal(tensor, state[name]), name  # the memory is that of the method without maps
    assert all(not torch.equal(state[name], fresh[name]) for name in state if ".weight" in name)


def test_losses_against_loops(load, squares) -> None:
    detector = load(method="mrad@ft")
    first = first_step(detector, squares, [0, 4, 1], stage=1)
    score = first.scores.image_score.double()
    label = first.batch.anomalous
    image = [
        -np.log(np.exp((p if y else 1 - p) / 0.07) / (np.exp(p / 0.07) + np.exp((1 - p) / 0.07)))
        for p, y in zip(score.tolist(), label.tolist(), strict=True)
    ]
    assert first.losses["mrad-image"] == pytest.approx(np.mean(image), rel=1e-4)
    assert set(first.losses) == {"focal", "dice", "mrad-image"}


def test_the_plans() -> None:
    plain, tuned = (load_recipe(get_host(), name).training for name in ("mrad", "mrad@ft"))
    assert plain.fill and plain.then is None and plain.epochs == 1
    first, second = tuned.stages
    assert first.fill and not second.fill and second.epochs == 1
    assert (second.optimiser, second.learning_rate, second.betas, second.batch_size, second.schedule) == (
        "adam", 4e-4, (0.5, 0.999), 8, "cosine",
    )  # fmt: skip
    assert {name: choice.weight for name, choice in second.losses.items()} == {
        "focal": 1, "dice": 1, "mrad-image": 1,
    }  # fmt: skip
    assert second.parts["scorer"]["options"] == {"hidden_patches": 0.2, "hidden_images": 0.05}
