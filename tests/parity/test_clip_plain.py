"""Plain CLIP features against OpenAI's code."""

from __future__ import annotations

import pytest
import torch

from tests.parity.goldens import DEVICE, Golden, Kit, assert_agrees
from tests.parity.preprocessed import preprocessed
from zsad.backbones.loading import load_backbone
from zsad.data.images import read_image
from zsad.data.preprocess import to_tensor
from zsad.streams import VisionRequest

pytestmark = pytest.mark.parity


@pytest.mark.goldens("plain CLIP")
def test_features_agree(kit: Kit, golden: Golden) -> None:
    backbone = load_backbone(kit.backbone(golden), DEVICE, "float32")
    tower, text = backbone.vision_tower(), backbone.text_tower()
    assert text is not None
    size = golden.meta["image_size"]
    images = torch.stack(
        [to_tensor(read_image(path), size, backbone.mean, backbone.std) for path in kit.image_paths]
    )
    with torch.no_grad():
        (output,) = tower(images.to(DEVICE), [VisionRequest()])
        ids = text.tokenize(golden.meta["texts"])
        features = text(text.embed(ids), text.end_positions(ids))
    mine = {
        "image_features": output.image_feature,
        "text_features": features,
        "token_ids": ids,
        **preprocessed(images),
    }
    assert_agrees(golden, mine)
