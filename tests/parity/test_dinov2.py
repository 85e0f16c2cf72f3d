"""DINOv2 features against those of the official code, as Crane+ reads them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from open_clip import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from PIL import Image

from tests.data.resampling import as_published
from tests.parity.goldens import Golden, Kit, differences
from tests.parity.synthetic import TINY_DINO, dino_state_dict
from zsad.backbones.dinov2 import imagenet_from_clip
from zsad.backbones.dinov2_loading import dinov2_from_official_state


@pytest.mark.parity
@pytest.mark.goldens("Crane+", requires="full-kit")
def test_features_are_those_of_the_official_code(kit: Kit, golden: Golden) -> None:
    state = dino_state_dict(TINY_DINO, golden.meta["seed"])
    tower = dinov2_from_official_state({key: torch.from_numpy(value) for key, value in state.items()})
    side = golden.meta["image_size"]
    how = Image.Resampling.BICUBIC
    pixels = np.stack(
        [
            np.asarray(as_published(Image.open(path).convert("RGB"), side, how).resize((side, side), how))
            for path in kit.image_paths
        ]
    )
    mean, std = OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    images = (images - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    tokens = tower.patch_tokens(imagenet_from_clip(images, mean, std))
    features = tokens.permute(0, 3, 1, 2)[:, ::2, ::2, ::2]
    name = "dino_features_sub"
    assert differences({name: golden.arrays[name]}, {name: features})[name] <= 1e-5
