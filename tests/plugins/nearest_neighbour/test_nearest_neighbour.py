from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.spatial.distance import cdist

from tests.loading import load_detector
from tests.planted import check_good_parts_tell
from zsad.backbones.clip import ClipBackbone
from zsad.backbones.loading import load_backbone
from zsad.errors import InputError

SIZE = 64


def images(seed: int, count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (40, 50, 3), dtype=np.uint8) for _ in range(count)]


def test_the_map_is_that_of_the_paper_s_distance(tiny_backbone: ClipBackbone) -> None:
    detector = load_detector("nearest-neighbour", backbone=tiny_backbone, image_size=SIZE)
    detector.remember(images(0, 3))
    queries = images(1, 2)
    found = detector.predict(queries)

    taps = []
    known, asked = detector.encode(images(0, 3)), detector.encode(queries)
    for entry, other in zip(asked.token_sets, known.token_sets, strict=True):
        keys = other.tokens.flatten(0, 1).double().numpy()
        distances = np.stack(
            [cdist(tokens.double().numpy(), keys, "cosine").min(1) for tokens in entry.tokens]
        )
        grid = torch.from_numpy(distances).reshape(2, 1, entry.grid.height, entry.grid.width)
        taps.append(torch.nn.functional.interpolate(grid, (SIZE, SIZE), mode="bilinear")[:, 0].numpy())
    mean = np.mean(taps, axis=0)
    maps = np.stack([gaussian_filter(each, 4, truncate=4) for each in mean])
    highest = np.sort(maps.reshape(2, -1))[:, -41:].mean(1)  # 1 % of 4096 pixels, rounded up
    assert np.allclose(found.anomaly_map.numpy(), maps, atol=1e-5)
    assert np.allclose(found.score.numpy(), highest, atol=1e-5)


def test_an_image_that_is_remembered_is_normal_everywhere(tiny_backbone: ClipBackbone) -> None:
    detector = load_detector("nearest-neighbour", backbone=tiny_backbone, image_size=SIZE)
    detector.remember(images(0, 3))
    assert detector.predict(images(0, 3)).anomaly_map.max() < 1e-5
    assert detector.predict(images(1, 1)).anomaly_map.max() > 1e-2


def test_a_coreset_keeps_its_share_and_no_distance_shrinks(tiny_backbone: ClipBackbone) -> None:
    whole = load_detector("nearest-neighbour", backbone=tiny_backbone, image_size=SIZE)
    part = load_detector(
        "nearest-neighbour", backbone=tiny_backbone, image_size=SIZE, overrides=["reference_store.share=0.25"]
    )
    all_of, some = whole.remember(images(0, 3)), part.remember(images(0, 3))
    for name, keys in all_of.buffers.items():
        assert len(some.buffers[name]) == round(len(keys) / 4)
    before, after = whole.predict(images(1, 2)), part.predict(images(1, 2))
    assert (after.anomaly_map >= before.anomaly_map - 1e-6).all()
    assert (after.anomaly_map > before.anomaly_map).any()


def test_good_parts_tell_drawn_defects_from_other_good_parts() -> None:
    detector = load_detector("nearest-neighbour", backbone=load_backbone("mini", "cpu", "float32"))
    check_good_parts_tell(detector)


def test_it_runs_on_a_tower_that_timm_computes() -> None:
    detector = load_detector("nearest-neighbour", backbone="timm:resnet10t@random:0", image_size=64)
    assert detector.setting == "training-free / inductive / few-shot-normal"
    detector.remember(images(0, 2))
    assert detector.predict(images(1, 2)).anomaly_map.isfinite().all()


@pytest.mark.parametrize("method", ["winclip", "clip-baseline"])
def test_methods_without_a_store_take_no_references(method: str, tiny_backbone: ClipBackbone) -> None:
    with pytest.raises(InputError, match=f"method '{method}' takes no reference images"):
        load_detector(method, backbone=tiny_backbone).remember(images(0, 1))
