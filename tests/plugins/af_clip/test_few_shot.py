"""AF-CLIP's memory of neighbourhoods, and what it hands on when it learns."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from tests.loading import load_detector
from zsad.backbones.loading import load_backbone
from zsad.detect.detector import Detector
from zsad.errors import InputError
from zsad.plugin.host import get_host
from zsad.training.learner import learned_state, stage_detector
from zsad_plugins.drawn.procedural import generate

Load = Callable[..., Detector]


@pytest.fixture
def load(untrained: Callable[[str], Load]) -> Load:
    return untrained("af-clip@few-shot")


def noise(seed: int, count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (60, 70, 3), np.uint8) for _ in range(count)]


def test_the_map_is_the_memory_s_distance_and_a_share_of_the_zero_shot_map(load: Load) -> None:
    detector = load("scorer.alpha=0.3")
    plain = load(method="af-clip")
    plain.load_state_dict(detector.state_dict())
    references, images = noise(0, 2), noise(1, 3)
    detector.remember(references)
    zero_shot = plain.predict(images)

    adapter = plain.part("feature_adapter")
    before = [list(adapter.neighbours(plain.encode(batch))) for batch in (references, images)]
    total = np.zeros((3, before[1][0].tokens.shape[1]))
    for known, asked in zip(*before, strict=True):
        keys = known.tokens.flatten(0, 1).double().numpy()
        total += np.stack([cdist(rows.double().numpy(), keys, "cosine").min(1) / 2 for rows in asked.tokens])
    distance = total / len(before[0])
    stages = dict(detector.stages(detector.encode(images)))
    text = torch.softmax(plain.stages(plain.encode(images))[0][1].sets[0].values, 1)[:, 1].flatten(1)
    mine = stages["af-clip.remembered"].sets[0].values.flatten(1)
    assert np.allclose(mine.numpy(), distance + 0.3 * text.numpy(), atol=1e-5)
    score = detector.predict(images).score
    assert np.allclose(score.numpy(), distance.max(1) + 0.3 * zero_shot.score.numpy(), atol=1e-5)


def test_the_order_of_references_and_a_second_copy_change_nothing(load: Load) -> None:
    detector, images = load(), noise(1, 2)
    references = noise(0, 3)
    found = []
    for given in (references, references[::-1], [*references, references[0]]):
        detector.remember(given)
        found.append(detector.predict(images))
    for other in found[1:]:
        assert torch.allclose(other.anomaly_map, found[0].anomaly_map, atol=1e-6)


def test_an_adapter_that_keeps_nothing_is_said(load: Load) -> None:
    detector = load("feature_adapter.keep_raw=false")
    detector.remember(noise(0, 1))
    with pytest.raises(InputError, match=r"feature_adapter\.keep_raw=true"):
        detector.predict(noise(1, 1))


def test_what_is_learned_is_the_zero_shot_method(load: Load) -> None:
    detector = load()
    learning = stage_detector(detector, detector.recipe.recipe.training, get_host())
    assert learning.store is None and learning.part("scorer").__class__.__name__ == "SummedCosines"
    assert learned_state(learning).keys() == learned_state(detector).keys()
    for name, tensor in learned_state(load(method="af-clip")).items():
        assert learned_state(detector)[name].shape == tensor.shape


def test_on_mini_it_runs_with_the_weights_that_ship() -> None:
    mini = load_backbone("mini", "cpu", "float32")
    detector = load_detector("af-clip@few-shot", backbone=mini, image_size=160)
    drawn = [generate(3, index, size=160, families=["gear"]) for index in range(24)]
    good = [one.image for one in drawn if not one.mask.any()]
    bad = [one for one in drawn if one.mask.any()]
    detector.remember(good[:2])
    assert detector.setting == "auxiliary-trained / inductive / few-shot-normal"
    inside, outside = [], []
    for one, area in zip(bad, detector.predict([one.image for one in bad]).anomaly_map, strict=True):
        inside.append(float(area[torch.from_numpy(one.mask)].mean()))
        outside.append(float(area[~torch.from_numpy(one.mask)].mean()))
    assert np.mean(inside) > 1.2 * np.mean(outside)
