from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate1d
from sklearn.decomposition import PCA

import tests.backbones.tiny_timm  # noqa: F401 -- registers the models
from tests.loading import load_detector
from tests.planted import check_good_parts_tell
from zsad.backbones.loading import load_backbone
from zsad.detect.detector import Detector
from zsad.errors import InputError
from zsad.plugin.host import get_host
from zsad.recipe.profiles import TowerProfile
from zsad.recipe.resolution import resolve
from zsad.recipe.resolved import BackboneFacts

DINOV2 = "timm:zsad_dinov2_reg_12@random:0"
SIZE = 84


def images(seed: int, count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (80, 90, 3), dtype=np.uint8) for _ in range(count)]


def load(*overrides: str, views: int = 1) -> Detector:
    return load_detector(
        "subspace-ad",
        backbone=DINOV2,
        image_size=SIZE,
        overrides=[f"reference_store.views={views}", *overrides],
    )


def test_map_and_score_are_those_of_the_equations() -> None:
    detector = load("reference_store.explained=0.7", "post_processors.top_mean.fraction=0.03")
    memory = detector.remember(images(0, 2))
    known, asked = (
        torch.stack([entry.tokens for entry in detector.encode(each).token_sets]).double().mean(0).numpy()
        for each in (images(0, 2), images(1, 3))
    )
    pca = PCA(0.7, svd_solver="full").fit(known.reshape(-1, known.shape[-1]))
    assert memory.buffers["axes"].shape == (192, pca.n_components_)
    rows = asked.reshape(-1, asked.shape[-1])
    left = ((rows - pca.inverse_transform(pca.transform(rows))) ** 2).sum(1).reshape(3, 1, 6, 6)
    upsampled = torch.nn.functional.interpolate(torch.from_numpy(left), (SIZE, SIZE), mode="bilinear")
    expected, kernel = upsampled[:, 0].numpy(), np.exp(-np.array([1.0, 0, 1]) / 32)
    for axis in (1, 2):
        expected = correlate1d(expected, kernel / kernel.sum(), axis, mode="mirror")
    found = detector.predict(images(1, 3))
    assert np.allclose(found.anomaly_map.numpy(), expected, rtol=1e-4, atol=1e-5 * expected.max())
    highest = np.sort(expected.reshape(3, -1), axis=1)[:, -211:].mean(1)  # 3 % of 7056 pixels, rounded down
    assert np.allclose(found.score.numpy(), highest, rtol=1e-4)


def test_neither_order_nor_copies_nor_batches_of_references_change_anything() -> None:
    detector, references = load(views=3), images(0, 3)
    detector.remember(references)
    before = detector.predict(images(1, 2)).anomaly_map
    for given in (references[::-1], [*references, *references]):
        detector.remember(given)
        assert torch.allclose(detector.predict(images(1, 2)).anomaly_map, before, rtol=1e-3)
    detector.remember(references, batch_size=2)
    assert torch.allclose(detector.predict(images(1, 2)).anomaly_map, before, rtol=1e-3)


def test_a_reference_itself_is_normal_up_to_the_share_that_is_not_explained() -> None:
    detector = load("reference_store.explained=0.9")
    detector.remember(images(0, 2))
    features = detector.encode([*images(0, 2), *images(1, 2)])
    (entry,) = dict(detector.stages(features))["subspace_ad.residual"].sets
    known, new = entry.values[:2].mean(), entry.values[2:].mean()
    tokens = torch.stack([each.tokens for each in features.token_sets]).mean(0)[:2].flatten(0, 1)
    variance = (tokens - tokens.mean(0)).square().sum(1).mean()
    assert 0 < known <= 0.1 * variance
    assert new > known


def test_it_remembers_no_more_than_a_square_of_the_channels() -> None:
    memory = load(views=4).remember(images(0, 3))
    assert set(memory.buffers) == {"mean", "axes"}
    assert sum(tensor.numel() for tensor in memory.buffers.values()) <= 192 * 193


def test_taps_of_several_widths_are_refused() -> None:
    with pytest.raises(
        InputError, match=r"differ in their channels; take taps of one width by --set readout"
    ):
        load_detector("subspace-ad", backbone="timm:resnet10t@random:0", image_size=64)
    detector = load_detector(
        "subspace-ad",
        backbone="timm:resnet10t@random:0",
        image_size=64,
        overrides=["readout.taps=[4]", "reference_store.views=2"],
    )
    detector.remember(images(0, 2))
    assert detector.predict(images(1, 2)).anomaly_map.isfinite().all()


def test_it_reads_the_published_blocks_of_the_published_tower() -> None:
    facts = BackboneFacts(
        arch="timm:vit_giant_patch14_reg4_dinov2",
        depth=40,
        image_size=518,
        profile=TowerProfile(activation="swiglu", position_embedding="bicubic_antialias"),
        text_profile=None,
        capabilities=frozenset({"streams", "class_token"}),
    )
    found = resolve(get_host(), "subspace-ad", facts)
    assert (found.blocks, found.image_size) == ((22, 23, 24, 25, 26, 27, 28), 672)
    assert found.fidelity == "official-code"


def test_good_parts_tell_drawn_defects_from_other_good_parts() -> None:
    detector = load_detector(
        "subspace-ad",
        backbone=load_backbone("mini", "cpu", "float32"),
        overrides=["reference_store.views=3"],
    )
    check_good_parts_tell(detector)
