"""Towers by timm's names over official DINOv2 files, against features that methods' official code read.

The kit's models have shapes of their own, so they are registered with timm under names of their own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import tests.backbones.tiny_timm  # noqa: F401 -- registers the models
from tests.data.resampling import as_published
from tests.parity.goldens import DEVICE, PREPROCESSING_MARK, Golden, Kit, differences
from tests.parity.preprocessed import preprocessed
from tests.parity.synthetic import TINY_DINO, dino_state_dict
from zsad.backbones.clip import ClipBackbone
from zsad.backbones.loading import load_backbone
from zsad.data.images import read_image
from zsad.data.preprocess import input_tensor
from zsad.inputs import InputForm
from zsad.streams import TokenRequest, VisionRequest
from zsad.values import Sample, Stage

MODELS = {
    "DINO_NOREG": ("zsad_dinov2_4", {"layers": 4}),
    "DINO_REG12": ("zsad_dinov2_reg_12", {"layers": 12}),
}
"""The kit's names of weights, the models, and their depths."""

MARK = 1e-5


def backbone_of(golden: Golden, folder: Path) -> ClipBackbone:
    """Return the golden's backbone, from a file under the official names."""
    name, shape = MODELS[golden.meta["weights"]]
    state = dino_state_dict({**TINY_DINO, **shape}, golden.meta["seed"])
    if golden.meta["weights"] == "DINO_NOREG":
        del state["register_tokens"]
    gain = golden.meta["norm_gain"] if isinstance(golden.meta["norm_gain"], float) else 1.0
    tensors = {key: torch.from_numpy(value) for key, value in state.items()}
    for key in ("norm.weight", "norm.bias"):
        tensors[key] = tensors[key] * gain
    path = folder / "dinov2.pth"
    torch.save(tensors, path)
    return load_backbone(f"timm:{name}@{path}", DEVICE, "float32")


def tokens(backbone: ClipBackbone, images: Tensor, blocks: list[int], stage: Stage, how: str) -> list[Tensor]:
    profile = backbone.native_profile.model_copy(update={"position_embedding": how})
    request = VisionRequest(tuple(TokenRequest(f"{block}", block, stage=stage) for block in blocks))
    with torch.no_grad():
        (output,) = backbone.vision_tower(profile)(images.to(DEVICE), [request])
    return [entry.tokens.cpu() for entry in output.token_sets]


def normalised(picture: Image.Image, backbone: ClipBackbone) -> Tensor:
    pixels = torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1).float() / 255
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (backbone.mean, backbone.std))
    return ((pixels - mean) / std)[None]


def resized(path: Path, width: int, height: int, how: Image.Resampling) -> Image.Image:
    picture = Image.open(path).convert("RGB")
    return as_published(picture, width, how).resize((width, height), how)


def agrees(golden: Golden, name: str, mine: Any) -> None:
    assert differences({name: golden.arrays[name]}, {name: mine})[name] <= MARK


@pytest.mark.parity
@pytest.mark.goldens("AnomalyDINO", requires="full-kit")
def test_features_of_torch_hub_s_dinov2(kit: Kit, golden: Golden, tmp_path: Path) -> None:
    """Images keep their aspect; positions by the offset of 0.1 (bicubic_offset), on grids of any shape."""
    if "weights" not in golden.meta:
        pytest.skip("holds rotated references alone")
    backbone, edge = backbone_of(golden, tmp_path), golden.meta["smaller_edge"]
    form = InputForm(edge, backbone.mean, backbone.std, "short-side")
    for number, path in enumerate(kit.image_paths):
        images = input_tensor([Sample(read_image(path))], form, backbone.vision_tower().patch_size)
        assert tuple(images.shape[2:]) == tuple(golden.arrays["preproc_shape"][number])
        for name, mine in preprocessed(images).items():
            if name in golden.arrays:
                wanted = golden.arrays[name][number : number + 1]
                assert differences({name: wanted}, {name: mine})[name] <= PREPROCESSING_MARK, name
        (mine,) = tokens(backbone, images, [4], "ln_post", "bicubic_offset")
        agrees(golden, f"patch_features_sub_img{number}", mine[0, ::16])


@pytest.mark.parity
@pytest.mark.goldens("INP-Former", requires="full-kit")
def test_features_of_inp_former_s_encoder(kit: Kit, golden: Golden, tmp_path: Path) -> None:
    """The same rule in spite of registers: a recipe can choose it."""
    backbone, side, crop = backbone_of(golden, tmp_path), golden.meta["input_size"], golden.meta["crop_size"]
    low = (side - crop) // 2
    box = (low, low, low + crop, low + crop)
    pictures = [resized(path, side, side, Image.Resampling.BILINEAR).crop(box) for path in kit.image_paths]
    images = torch.cat([normalised(picture, backbone) for picture in pictures])
    found = tokens(backbone, images, golden.meta["blocks_used"], "raw", "bicubic_offset")
    agrees(golden, "encoder_mean_sub", torch.stack(found).mean(0)[:, ::8])


@pytest.mark.parity
@pytest.mark.goldens("SubspaceAD", requires="full-kit")
def test_features_of_transformers_dinov2_with_registers(kit: Kit, golden: Golden, tmp_path: Path) -> None:
    """timm's own rule, which is also that of transformers."""
    if "tokens_sub" not in golden.arrays or golden.meta["processor"] != "BitImageProcessorPil":
        pytest.skip("other pixels")
    backbone, side = backbone_of(golden, tmp_path), golden.meta["image_size"]
    pictures = [resized(path, side, side, Image.Resampling.BICUBIC) for path in kit.image_paths]
    images = torch.cat([normalised(picture, backbone) for picture in pictures])
    depth = backbone.vision_tower().depth
    blocks = [depth + 1 + layer for layer in golden.meta["layers_hidden_states"]]
    found = tokens(backbone, images, blocks, "raw", backbone.native_profile.position_embedding)
    agrees(golden, "tokens_sub", torch.stack(found).mean(0)[:, ::8])
