"""The way to the joint space: the tower's own numbers, gradients that pass, and no weights to own."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from zsad.backbones.clip import ClipBackbone
from zsad.backbones.joint_view import TowerJoint
from zsad.streams import TokenRequest, VisionRequest


@pytest.fixture
def joint(tiny_backbone: ClipBackbone) -> TowerJoint:
    return TowerJoint(tiny_backbone.vision_tower())


def test_raw_tokens_go_where_the_tower_takes_them(tiny_backbone: ClipBackbone, joint: TowerJoint) -> None:
    tower = tiny_backbone.vision_tower()
    request = VisionRequest((TokenRequest("raw", 3, stage="raw"), TokenRequest("joint", 3, stage="joint")))
    with torch.no_grad():
        (output,) = tower(torch.randn(2, 3, 64, 64), [request])
        raw, expected = output.token_sets
        torch.testing.assert_close(joint(raw.tokens), expected.tokens)
        assert raw.class_token is not None and expected.class_token is not None
        torch.testing.assert_close(joint(raw.class_token), expected.class_token)
        assert not torch.equal(joint(raw.tokens * 0.5 + 1), expected.tokens)


def test_precision_stays_and_gradients_pass(tiny_backbone: ClipBackbone, joint: TowerJoint) -> None:
    tokens = torch.randn(2, 5, tiny_backbone.vision_tower().width, dtype=torch.float64, requires_grad=True)
    found = joint(tokens)
    assert found.dtype == torch.float64 and found.shape[-1] == tiny_backbone.vision_tower().embed_dim
    found.sum().backward()
    assert tokens.grad is not None and tokens.grad.abs().sum() > 0
    assert all(weight.grad is None for weight in tiny_backbone.vision_tower().parameters())


def test_a_part_that_keeps_it_owns_nothing(joint: TowerJoint) -> None:
    class Part(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.to_joint = joint

    part = Part()
    assert list(part.parameters()) == [] and part.state_dict() == {}
    assert copy.deepcopy(part).to_joint is joint
