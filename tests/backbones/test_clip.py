"""A backbone is a view of open_clip's weights, and leaves its module as it is."""

from __future__ import annotations

import json
from pathlib import Path

import open_clip
import torch

from zsad.backbones.card import BackboneCard
from zsad.backbones.clip import state_digest
from zsad.backbones.names import parse_backbone
from zsad.backbones.open_clip_loading import from_open_clip
from zsad.streams import SelfAttention, Stream, TokenRequest, VisionRequest

CONFIG = Path(__file__).parents[1] / "assets" / "tiny-clip.json"


def test_module_stays_untouched_and_weights_are_shared() -> None:
    torch.manual_seed(0)
    module = open_clip.CLIP(**json.loads(CONFIG.read_text())).eval()
    name = parse_backbone(f"{CONFIG}@random:0")
    card = BackboneCard("tiny", "nothing")
    backbone = from_open_clip(module, name, card, torch.device("cpu"), torch.float32)
    before = state_digest(module.state_dict())
    tower = backbone.vision_tower()
    stream = Stream(1, SelfAttention())
    with torch.no_grad():
        tower(torch.randn(2, 3, 64, 64), [VisionRequest((TokenRequest("v", 4, stream),))])
    assert state_digest(module.state_dict()) == before == backbone.sha256
    for part in module.modules():
        assert not part._forward_hooks and not part._forward_pre_hooks
    weight = module.visual.transformer.resblocks[0].attn.in_proj_weight
    assert tower.blocks[0].q_proj.weight.data_ptr() == weight.data_ptr()
    other = backbone.vision_tower(backbone.native_profile.model_copy(update={"activation": "quick_gelu"}))
    assert other is not tower
    assert other.blocks[0].fc1.weight.data_ptr() == tower.blocks[0].fc1.weight.data_ptr()
