"""A term reads the weights of a block; one that changes them is named, and the tower is done."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from tests.backbones.test_open_clip_loading import CONFIG
from zsad.backbones.loading import load_backbone
from zsad.errors import ZsadError
from zsad.streams import BlockState, SelfAttention, Stream, TokenRequest, VisionRequest


@dataclass(frozen=True)
class Scaled:
    """v-v attention of values that are scaled, in place or in a copy."""

    in_place: bool

    def __call__(self, state: BlockState) -> Tensor:
        weight = next(state.block.parameters())
        scaled = weight.mul_(1.5) if self.in_place else weight * 1.5
        assert scaled.shape == weight.shape
        return SelfAttention(("vv",))(state)


@torch.no_grad()
def test_a_term_that_changes_weights_is_named_and_nobody_gets_wrong_numbers() -> None:
    tower = load_backbone(f"{CONFIG}@random:0", "cpu", "float32").vision_tower()
    size = tower.native_image_size
    images = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    plain = VisionRequest((TokenRequest("a", 2, Stream(2, SelfAttention(("vv",)))),))
    before = tower(images, [plain])[0].token_sets[0].tokens
    fine = VisionRequest((TokenRequest("a", 2, Stream(2, Scaled(in_place=False))),))
    assert torch.equal(tower(images, [fine])[0].token_sets[0].tokens, before)
    broken = VisionRequest((TokenRequest("a", 2, Stream(2, Scaled(in_place=True))),))
    said = r"term tests\.backbones\.test_frozen\.Scaled changed weights of the backbone"
    with pytest.raises(ZsadError, match=said):
        tower(images, [broken])
    with pytest.raises(ZsadError, match=said):  # those of other methods would be wrong
        tower(images, [plain])
