"""INP-Former's zero-shot mode against its official code, from images to scores."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import tests.backbones.tiny_timm  # noqa: F401 -- registers the models
from tests.loading import load_detector
from tests.parity.goldens import DEVICE, Golden, Kit, assert_agrees
from tests.parity.preprocessed import preprocessed
from tests.parity.synthetic import TINY_DINO, dino_state_dict
from tests.parity.synthetic_inpformer import inpformer_parameters
from tests.plugins.contexts import TEXTLESS
from zsad.data.preprocess import crop_margin
from zsad.detect.detector import Detector
from zsad.plugin.host import get_host
from zsad.weights.checkpoints import convert_checkpoint
from zsad_plugins.inp_former.options import SmoothOptions
from zsad_plugins.inp_former.prototypes import distances
from zsad_plugins.inp_former.smoothing import Smooth

pytestmark = pytest.mark.parity

HEADS = 3
STACKED = 12
"""Blocks of the kit's encoder."""


def load(golden: Golden, folder: Path) -> Detector:
    meta = golden.meta
    assert meta["weights"] == "DINO_REG12" and crop_margin(meta["crop_size"])[0] == meta["input_size"]
    encoder = dino_state_dict({**TINY_DINO, "layers": STACKED}, meta["seed"])
    torch.save({key: torch.from_numpy(value) for key, value in encoder.items()}, folder / "encoder.pth")
    learned = inpformer_parameters(TINY_DINO["width"], HEADS, meta["INP_num"], meta["seed"])
    whole = learned | {f"encoder.{key}": value for key, value in encoder.items()}
    torch.save({key: torch.from_numpy(value) for key, value in whole.items()}, folder / "model.pth")
    convert_checkpoint(get_host(), "inp-former", folder / "model.pth", folder / "weights.safetensors")
    return load_detector(
        "inp-former",
        backbone=f"timm:zsad_dinov2_reg_12@{folder / 'encoder.pth'}",
        device=DEVICE,
        dtype="float32",
        image_size=meta["crop_size"],
        weights=folder / "weights.safetensors",
        overrides=[
            "profile=official",
            f"scorer.prototypes={meta['INP_num']}",
            f"post_processors.smooth.side={meta['resize_mask']}",
            f"post_processors.smooth.fraction={meta['max_ratio']}",
        ],
    )


@pytest.mark.goldens("INP-Former", arrays="zs_image_score")
def test_every_array_of_the_zero_shot_mode_agrees(kit: Kit, golden: Golden, tmp_path: Path) -> None:
    detector = load(golden, tmp_path)
    assert list(detector.recipe.blocks) == golden.meta["blocks_used"]
    samples = detector.samples(kit.image_paths)
    scorer = detector.part("scorer")
    meta = golden.meta
    smooth = Smooth(SmoothOptions(side=meta["resize_mask"], fraction=meta["max_ratio"]), TEXTLESS)
    with torch.no_grad():
        features = detector.encode(samples)
        stages, prediction = dict(detector.stages(features)), detector.score(features)
        tokens = scorer.gathered(features)
        prototypes = scorer.prototypes(tokens)
        nearest = distances(tokens, prototypes)
        fused = stages["standard.fuse"].required_map
        final = smooth.smoothed(fused)
    assert torch.equal(nearest.amin(-1), stages["inp-former.prototypes"].sets[0].values.flatten(1))
    mine = {
        "preproc_shape": torch.tensor([[golden.meta["crop_size"]] * 2] * 3, dtype=torch.int32),
        "encoder_mean_sub": tokens[:, ::8],
        "prototypes": prototypes,
        "prototype_index": nearest.argmin(-1).int(),
        "distance": nearest.amin(-1),
        "zs_pixel_map_raw_sub": smooth.small(fused)[:, ::4, ::4],
        "zs_pixel_map_sub": final[:, ::2, ::2],
        "zs_pixel_map_max": final.amax((1, 2)),
        "zs_pixel_map_mean": final.mean((1, 2)),
        "zs_image_score": prediction.score,
    }
    others = [name for name in golden.arrays if name.startswith("recon_")]  # of the modes with a decoder
    assert_agrees(golden, mine | preprocessed(detector.tensor(samples)), inputs=others)
