from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import binary_dilation, binary_erosion
from sklearn.decomposition import PCA
from torch import Tensor

import tests.backbones.tiny_timm  # noqa: F401 -- registers the models
from tests.loading import load_detector
from zsad.backbones.clip import ClipBackbone
from zsad.detect.detector import Detector
from zsad.errors import InputError, ZsadWarning
from zsad.values import Grid
from zsad_plugins.anomaly_dino.foreground import first_component, object_patches

DINOV2 = "timm:zsad_dinov2_4@random:0"
MASKED = "scorer.foreground=first-component"


def tokens(count: int, width: int, seed: int) -> Tensor:
    spread = torch.linspace(3, 0.5, width)
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed)) * spread + 5


def test_the_component_is_that_of_scikit_learn() -> None:
    values = tokens(60, 7, 0)
    expected = PCA(1, svd_solver="full").fit_transform(values.double().numpy())[:, 0]
    found = first_component(values[None])[0].numpy()
    assert np.allclose(np.abs(found), np.abs(expected), atol=1e-9)


@given(st.integers(0, 99))
def test_the_largest_entry_of_its_axis_is_positive(seed: int) -> None:
    values = tokens(30, 5, seed).double()
    component = first_component(values[None])[0]
    axis = (values - values.mean(0)).mT @ component  # points where the axis does
    assert axis[axis.abs().argmax()] > 0
    # Tokens that are mirrored at the origin lie at the opposite places of the same axis.
    assert torch.allclose(first_component(-values[None])[0], -component, atol=1e-9)


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 999))
def test_the_mask_is_cleaned_along_the_order_of_patches(height: int, width: int, seed: int) -> None:
    grid = Grid(height, width)
    values = tokens(grid.count, 6, seed) * 4
    component = first_component(values[None])[0].numpy()
    kept = component > 10
    rows, columns = (
        slice(int(0.2 * side), max(int(0.2 * side) + 1, int(0.8 * side))) for side in (height, width)
    )
    if kept.reshape(height, width)[rows, columns].mean() <= 0.35:
        kept = -component > 10
    line = np.ones(3, dtype=bool)
    twice = binary_dilation(binary_dilation(kept, line), line)
    expected = binary_erosion(twice, line, border_value=1)
    assert np.array_equal(object_patches(values[None], grid, 10)[0].numpy(), expected)


@pytest.mark.parametrize("sign", [1, -1])
def test_an_object_in_the_centre_is_kept_whichever_sign_its_component_has(sign: int) -> None:
    grid = Grid(10, 10)
    inside = torch.zeros(10, 10)
    inside[3:7, 3:7] = 1
    values = torch.zeros(1, 100, 4)
    values[0, :, 0] = sign * 60 * inside.flatten()
    kept = object_patches(values, grid, 10)[0].reshape(10, 10)
    # Dilation reaches one patch to the left and to the right, along the rows.
    expected = torch.zeros(10, 10, dtype=torch.bool)
    expected[3:7, 2:8] = True
    assert torch.equal(kept, expected)


def images(seed: int, count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (80, 90, 3), dtype=np.uint8) for _ in range(count)]


def load(*overrides: str, backbone: str | ClipBackbone = DINOV2, size: int = 84) -> Detector:
    return load_detector("anomaly-dino", backbone=backbone, image_size=size, overrides=overrides)


def threshold_of(detector: Detector, share: float) -> float:
    """Return a threshold that a share of the patches of some images exceeds."""
    (entry,) = detector.encode(images(1, 3)).token_sets
    return float(first_component(entry.tokens).quantile(1 - share))


def test_background_is_at_no_distance_and_the_rest_as_without_a_mask() -> None:
    whole = load()
    threshold = threshold_of(whole, 0.2)
    masked = load(MASKED, f"scorer.threshold={threshold}")
    for detector in (whole, masked):
        detector.remember(images(0, 2))
    features = whole.encode(images(1, 3))
    before, after = (dict(each.stages(features))["anomaly_dino.nearest"] for each in (whole, masked))
    kept = object_patches(features.token_sets[0].tokens, features.grid, threshold)
    assert 0 < kept.float().mean() < 1
    expected = torch.where(kept, before.sets[0].values.flatten(1), 0)
    assert torch.equal(after.sets[0].values.flatten(1), expected)
    assert torch.equal(after.required_image_score, expected.amax(1)), "1 % of 36 patches is one"


def test_a_masked_memory_holds_the_object_alone() -> None:
    threshold = threshold_of(load(), 0.2)
    detector = load(
        "reference_store.foreground=first-component",
        f"reference_store.threshold={threshold}",
        "reference_store.views=1",
    )
    (keys,) = detector.remember(images(1, 3)).buffers.values()
    features = detector.encode(images(1, 3))
    kept = object_patches(features.token_sets[0].tokens, features.grid, threshold)
    assert 0 < len(keys) == int(kept.sum()) < kept.numel()


def test_an_image_without_foreground_counts_as_a_whole_and_is_named() -> None:
    whole, masked = load(), load(MASKED, "scorer.threshold=1e6")
    for detector in (whole, masked):
        detector.remember(images(0, 1))
    with pytest.warns(ZsadWarning, match="the foreground mask keeps no patch of image 1"):
        found = masked.predict(images(1, 1))
    assert torch.equal(found.anomaly_map, whole.predict(images(1, 1)).anomaly_map)


def test_its_threshold_is_refused_where_it_means_nothing(tiny_backbone: ClipBackbone) -> None:
    with pytest.raises(InputError, match=r"compares with 10, which is on the scale of DINOv2.*threshold"):
        load(MASKED, backbone=tiny_backbone, size=56)
    with pytest.raises(InputError, match="scale of DINOv2"):
        load("reference_store.foreground=first-component", backbone=tiny_backbone, size=56)
    with pytest.raises(InputError, match="scale of DINOv2"):
        load(MASKED, "readout.stage=raw")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(MASKED, "scorer.threshold=1", backbone=tiny_backbone, size=56)
        load(MASKED)


def test_a_threshold_without_a_mask_is_refused() -> None:
    with pytest.raises(InputError, match="threshold has no effect without foreground=first-component"):
        load("scorer.threshold=3")
