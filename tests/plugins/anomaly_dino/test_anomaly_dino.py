from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.spatial.distance import cdist

import tests.backbones.tiny_timm  # noqa: F401 -- registers the models
from tests.loading import load_detector
from tests.planted import check_good_parts_tell
from zsad.backbones.clip import ClipBackbone
from zsad.backbones.loading import load_backbone
from zsad.detect.detector import Detector
from zsad.errors import InputError
from zsad_plugins.anomaly_dino.rotation import full_turn, rotated

DINOV2 = "timm:zsad_dinov2_4@random:0"
SIZE = 56
"""Whole patches of both towers: 4 x 4 of 14 pixels, 7 x 7 of 8."""


def images(seed: int, count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (80, 90, 3), dtype=np.uint8) for _ in range(count)]


def load(*overrides: str, backbone: str | ClipBackbone = DINOV2) -> Detector:
    return load_detector("anomaly-dino", backbone=backbone, image_size=SIZE, overrides=overrides)


@pytest.mark.parametrize(("neighbours", "top", "highest"), [(1, 0.01, 1), (3, 0.2, 3)])
def test_map_and_score_are_those_of_the_equations(neighbours: int, top: float, highest: int) -> None:
    detector = load(f"scorer.neighbours={neighbours}", f"scorer.top={top}")
    detector.remember(images(0, 2))
    views = [view for image in images(0, 2) for view in full_turn(image, 8)]
    (known,), (asked,) = (detector.encode(each).token_sets for each in (views, images(1, 3)))
    keys = known.tokens.flatten(0, 1).double().numpy()
    assert len(keys) == 2 * 8 * 16
    distances = np.stack(
        [
            np.sort(cdist(own.double().numpy(), keys, "cosine"), axis=1)[:, :neighbours].mean(1)
            for own in asked.tokens
        ]
    )
    grid = torch.from_numpy(distances).reshape(3, 1, 4, 4)
    upsampled = torch.nn.functional.interpolate(grid, (SIZE, SIZE), mode="bilinear")[:, 0].numpy()
    found = detector.predict(images(1, 3))
    expected = np.stack([gaussian_filter(each, 4) for each in upsampled])
    assert np.allclose(found.anomaly_map.numpy(), expected, atol=1e-5)
    assert np.allclose(found.score.numpy(), np.sort(distances, axis=1)[:, -highest:].mean(1), atol=1e-5)


def test_without_rotations_it_is_the_nearest_neighbour(tiny_backbone: ClipBackbone) -> None:
    mine = load("reference_store.views=1", backbone=tiny_backbone)
    floor = load_detector(
        "nearest-neighbour",
        backbone=tiny_backbone,
        image_size=SIZE,
        overrides=[f"readout.taps={list(mine.recipe.blocks)}", "readout.stage=ln_post"],
    )
    for detector in (mine, floor):
        detector.remember(images(0, 3))
    found, expected = (detector.predict(images(1, 2)).anomaly_map for detector in (mine, floor))
    assert torch.equal(found, expected)


def test_neither_order_nor_copies_of_references_change_anything() -> None:
    detector, references = load(), images(0, 3)
    detector.remember(references)
    before = detector.predict(images(1, 2))
    for given in (references[::-1], [*references, references[1]]):
        detector.remember(given)
        after = detector.predict(images(1, 2))
        assert torch.allclose(after.anomaly_map, before.anomaly_map, atol=1e-6)
        assert torch.allclose(after.score, before.score, atol=1e-6)


def test_more_references_bring_no_patch_farther_away() -> None:
    detector = load()
    detector.remember(images(0, 1))
    before = detector.predict(images(1, 2)).anomaly_map
    detector.remember(images(0, 3))
    after = detector.predict(images(1, 2)).anomaly_map
    assert (after <= before + 1e-6).all() and (after < before).any()


def test_a_turned_good_part_is_normal_where_turned_references_are_remembered() -> None:
    image = images(0, 1)[0]
    turned, plain = load(), load("reference_store.views=1")
    for detector in (turned, plain):
        detector.remember([image])
    for degrees in (0, 45, 90, 225):
        assert turned.predict([rotated(image, degrees)]).score < 1e-5
    assert plain.predict([image]).score < 1e-5
    assert plain.predict([rotated(image, 45)]).score > 1e-3


def test_several_taps_are_averaged_before_the_image_score(tiny_backbone: ClipBackbone) -> None:
    detector = load("readout.taps=[1, 2]", backbone=tiny_backbone)
    detector.remember(images(0, 2))
    found = detector.predict(images(1, 2))
    singles = []
    for tap in (1, 2):
        single = load(f"readout.taps=[{tap}]", backbone=tiny_backbone)
        single.remember(images(0, 2))
        singles.append(single.predict(images(1, 2)).anomaly_map)
    assert torch.allclose(found.anomaly_map, torch.stack(singles).mean(0), atol=1e-6)


def test_more_neighbours_than_patches_are_refused() -> None:
    detector = load("scorer.neighbours=40", "reference_store.views=1")
    detector.remember(images(0, 1))
    with pytest.raises(
        InputError, match="mean over 40 neighbours, and 16 patches are remembered; take fewer"
    ):
        detector.predict(images(1, 1))


def test_the_published_numerics_are_those_of_the_towers_it_was_published_on() -> None:
    detector = load_detector("anomaly-dino", backbone="timm:vit_small_patch14_dinov2@random:0")
    assert detector.recipe.image_size == 448
    assert detector.recipe.profile.position_embedding == "bicubic_offset"
    assert detector.recipe.profile.image_resize == "short-side"
    assert detector.recipe.blocks == (12,)
    assert detector.setting == "training-free / inductive / few-shot-normal"
    assert detector.recipe.fidelity == "official-code"


def test_it_runs_on_a_tower_that_timm_computes() -> None:
    with pytest.raises(InputError, match=r"no final norm for all its levels.*--set readout.stage=raw"):
        load_detector("anomaly-dino", backbone="timm:resnet10t@random:0", image_size=64)
    detector = load_detector(
        "anomaly-dino", backbone="timm:resnet10t@random:0", image_size=64, overrides=["readout.stage=raw"]
    )
    detector.remember(images(0, 2))
    assert detector.predict(images(1, 2)).anomaly_map.isfinite().all()


def test_good_parts_tell_drawn_defects_from_other_good_parts() -> None:
    detector = load_detector(
        "anomaly-dino",
        backbone=load_backbone("mini", "cpu", "float32"),
        overrides=["reference_store.views=4"],
    )
    check_good_parts_tell(detector)
