"""``mini-random``, the control: the stem of ``mini`` under towers that learned nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.loading import load_detector
from zsad.backbones.loading import load_backbone
from zsad.streams import VisionRequest
from zsad_plugins.mini.backbone import read_mini


@pytest.fixture(scope="module")
def mini():
    return load_backbone("mini", "cpu", "float32")


@pytest.fixture(scope="module")
def control():
    return load_backbone("mini-random", "cpu", "float32")


def test_the_stem_is_minis_and_the_towers_are_not(mini, control) -> None:
    assert control.sha256 != mini.sha256 and len(control.sha256) == 64
    trained, random = (backbone.vision_tower().patch_embedding for backbone in (mini, control))
    state, own = trained.stem.state_dict(), random.stem.state_dict()
    assert state.keys() == own.keys() and len(state) > 30
    assert all(torch.equal(tensor, own[name]) for name, tensor in state.items())
    assert all(torch.equal(tensor, own[name]) for name, tensor in read_mini()[0].stem.state_dict().items())
    assert not torch.equal(trained.projection.weight, random.projection.weight)
    assert not torch.equal(mini.text_tower().token_embedding, control.text_tower().token_embedding)


def test_it_is_the_same_every_time_and_draws_nothing_else(control) -> None:
    torch.manual_seed(4)
    before = torch.get_rng_state()
    again = load_backbone("mini-random", "cpu", "float32")
    assert again.sha256 == control.sha256
    assert torch.equal(torch.get_rng_state(), before)


def test_its_card_claims_no_defects(mini, control) -> None:
    assert control.card.name == "mini-random"
    assert not control.card.saw_anomaly_labels and mini.card.saw_anomaly_labels
    assert "ImageNet-1k" in control.card.trained_on and "the towers on nothing" in control.card.trained_on
    assert [entry.dataset for entry in control.card.datasets] == ["ImageNet-1k"]


def test_both_have_one_form(mini, control) -> None:
    assert (control.arch, control.mean, control.std) == (mini.arch, mini.mean, mini.std)
    assert control.native_profile == mini.native_profile
    assert control.native_text_profile == mini.native_text_profile
    assert control.capabilities == mini.capabilities
    texts = ["a photo of a damaged object", "flawless tile"]
    assert torch.equal(control.text_tower().tokenize(texts), mini.text_tower().tokenize(texts))


@pytest.mark.parametrize("name", ["mini", "mini-random"])
@pytest.mark.parametrize("method", ["clip-baseline", "clip-baseline@vv"])
def test_methods_run_on_both(mini, control, name, method) -> None:
    backbone = mini if name == "mini" else control
    detector = load_detector(method, backbone=backbone)
    images = np.random.default_rng(0).integers(0, 256, (2, 60, 90, 3), dtype=np.uint8)
    prediction = detector.predict(list(images), "metal nut")
    size = backbone.vision_tower().native_image_size
    assert prediction.anomaly_map.shape == (2, size, size) and prediction.score.shape == (2,)
    assert bool(prediction.anomaly_map.isfinite().all()) and bool(prediction.score.isfinite().all())
    trained = "auxiliary-trained" if name == "mini" else "training-free"
    assert detector.setting.startswith(trained)


def test_they_say_different_things(mini, control) -> None:
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        first, second = (
            b.vision_tower()(images, [VisionRequest()])[0].image_feature for b in (mini, control)
        )
    assert not torch.allclose(first, second)
