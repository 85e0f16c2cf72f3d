"""SubspaceAD against its official code, from the files of its references to its image scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import zsad_plugins.subspace_ad.memory as subspace
from tests.loading import load_detector
from tests.parity.goldens import Golden, Kit, assert_agrees
from tests.parity.preprocessed import preprocessed
from tests.parity.test_vision_towers import backbone_of
from zsad.data.images import read_image
from zsad.detect.detector import Detector
from zsad.detect.memories import EVERY_CLASS, Remembered
from zsad_plugins.subspace_ad.memory import mean_tokens
from zsad_plugins.subspace_ad.moments import Moments

pytestmark = pytest.mark.parity


def load(golden: Golden, folder: Path) -> Detector:
    backbone, options = backbone_of(golden, folder), golden.meta["argv"]
    blocks = sorted(
        backbone.vision_tower().depth + 1 + layer for layer in golden.meta["layers_hidden_states"]
    )
    share = options[options.index("--pca_ev") + 1] if "--pca_ev" in options else "0.99"
    return load_detector(
        "subspace-ad",
        backbone=backbone,
        image_size=golden.meta["image_size"],
        overrides=[
            f"readout.taps={blocks}",
            f"reference_store.explained={share}",
            "reference_store.views=1",
        ],
    )


def references(kit: Kit, golden: Golden) -> list[Path]:
    return [
        kit.root / ("references" if name.startswith("ref") else "images") / name
        for name in golden.meta["fit_images"]
    ]


def two_draws(detector: Detector, kit: Kit, golden: Golden) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Return mean, covariance and count of tokens, with the angles that published code draws for each."""
    drawn = []
    for number in (1, 2):
        angles = golden.meta[f"rotation_angles_pass{number}"]
        images, each = [], len(angles) // len(golden.meta["fit_images"])
        for place, path in enumerate(references(kit, golden)):
            picture = Image.fromarray(read_image(path))
            images += [picture, *(picture.rotate(angle) for angle in angles[place * each :][:each])]
        with torch.no_grad():
            drawn.append(Moments.of(mean_tokens(detector.encode(images)).flatten(0, 1)))
    first, second = drawn
    return first.mean, second.scatter_about(first.mean) / (second.count - 1), second.count


@pytest.mark.goldens("SubspaceAD")
def test_every_array_agrees(kit: Kit, golden: Golden, tmp_path: Path) -> None:
    if golden.meta["processor"] != "BitImageProcessorPil":
        pytest.skip("pixels by torchvision's resize of tensors")
    if "saliency" in golden.arrays:
        pytest.skip("a mask from the attention of registers, which is left out")
    detector = load(golden, tmp_path)
    if golden.meta["rotation_angles_pass1"]:
        mean, covariance, count = two_draws(detector, kit, golden)
        axes = subspace.principal_axes(covariance, 0.99)
        memory = Remembered({"mean": mean.float(), "axes": axes.float()}, ())
        detector.memories[EVERY_CLASS] = memory
    else:
        with torch.no_grad():
            moments = Moments.of(mean_tokens(detector.encode(references(kit, golden))).flatten(0, 1))
        covariance, count = moments.scatter / (moments.count - 1), moments.count
        memory = detector.remember(references(kit, golden))
    samples = detector.samples(kit.image_paths)
    features = detector.encode(samples)
    prediction, stages = detector.score(features), dict(detector.stages(features))
    (residual,) = stages["subspace_ad.residual"].sets
    axes, maps = memory.buffers["axes"].double(), prediction.anomaly_map
    rows = golden.arrays["fit_rows"]
    mine: dict[str, Any] = {
        "tokens_sub": mean_tokens(features)[:, ::8],
        "pca_mean": memory.buffers["mean"],
        "pca_k": np.array([axes.shape[1]], dtype=np.int32),
        "pca_eigenvalues": torch.linalg.eigvalsh(covariance).flip(0),
        "pca_projector_sub": (axes @ axes.mT)[::4, ::4],
        "token_scores": residual.values[:, 0],
        "masked_scores": residual.values[:, 0],
        "pixel_map_sub": maps[:, ::2, ::2],
        "pixel_map_max": maps.amax((1, 2)),
        "pixel_map_mean": maps.mean((1, 2)),
        "image_score": prediction.score,
        "fit_divisor_tokens": np.array([count], dtype=np.int32),
        "fit_rows": np.full(len(rows), features.grid.count, dtype=np.int32),
    }
    pixels = preprocessed(detector.tensor(samples))
    assert_agrees(
        golden,
        mine | {name: value for name, value in pixels.items() if name in golden.arrays},
        inputs={"preproc_shape"},
    )
