"""What may share a pass, what may not, and that the loaded model stays as it was."""

from __future__ import annotations

import json

import open_clip
import pytest
import torch

from tests.fakes.conftest import CONFIG
from tests.loading import load_detector
from zsad.backbones.card import BackboneCard
from zsad.backbones.clip import state_digest
from zsad.backbones.names import BackboneName
from zsad.backbones.open_clip_loading import from_open_clip
from zsad.detect.passes import encode_together, group_by_pass
from zsad.errors import InputError


def test_the_loaded_model_stays_as_it_was(host, samples) -> None:
    torch.manual_seed(0)
    model = open_clip.CLIP(**json.loads(CONFIG.read_text())).eval()
    before = state_digest(model.state_dict())
    name = BackboneName(f"{CONFIG}@random:0", str(CONFIG), seed=0)
    cpu = torch.device("cpu")
    backbone = from_open_clip(model, name, BackboneCard("tiny", "nothing"), cpu, torch.float32)
    for method in ("fake-adaclip", "fake-craneplus", "clip-baseline@vv", "winclip"):
        overrides = ["profile.activation=quick_gelu", "profile.position_embedding=bilinear"]
        load_detector(method, backbone=backbone, overrides=overrides, image_size=80, host=host).predict(
            samples[:2]
        )
    assert state_digest(model.state_dict()) == before
    for module in model.modules():
        assert not module._forward_hooks and not module._forward_pre_hooks


def test_a_method_that_injects_tokens_has_its_pass_to_itself(detector, samples) -> None:
    injecting, plain = detector("fake-adaclip"), detector("clip-baseline")
    for order in ([injecting, plain], [plain, injecting]):
        assert group_by_pass(order) == [[order[0]], [order[1]]]
        with pytest.raises(InputError, match="cannot share"):
            encode_together(order, samples)
    assert plain.encode_key == detector("clip-baseline@vv").encode_key != injecting.encode_key
    assert "fake.inject" in injecting.encode_key.profile.injected


def test_the_encode_key_follows_the_learned_tokens(detector) -> None:
    one, other = detector("fake-adaclip"), detector("fake-adaclip")
    assert one.encode_key == other.encode_key  # nothing is learned there, so the tokens are the same
    assert group_by_pass([one, other, one]) == [[one, one], [other]]


def test_image_features_of_both_kinds_come_from_one_pass(detector, samples) -> None:
    methods = [detector("clip-baseline"), detector("clip-baseline", "readout.cls_ln_post=false")]
    normed, bare = encode_together(methods, samples)
    assert (normed.image_feature - bare.image_feature).abs().max() > 0.01
    for method, features in zip(methods, (normed, bare), strict=True):
        torch.testing.assert_close(method.encode(samples).image_feature, features.image_feature)


def test_equal_side_inputs_are_computed_once(detector, samples) -> None:
    methods = [detector("fake-filo"), detector("fake-filo")]
    shared = encode_together(methods, samples)  # equal parts with equal options are asked once
    assert shared[0].auxiliary["boxes"] is shared[1].auxiliary["boxes"]
