"""AnomalyDINO against its official code, from image files to maps."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from tests.loading import load_detector
from tests.parity.goldens import Golden, Kit, assert_agrees
from tests.parity.preprocessed import preprocessed
from tests.parity.synthetic import Array
from tests.parity.test_vision_towers import backbone_of
from zsad.data.images import read_image
from zsad.detect.detector import Detector
from zsad.detect.memories import EVERY_CLASS, Remembered
from zsad.detect.smoothing import gaussian_blur
from zsad.parts import ReferenceViews
from zsad_plugins.anomaly_dino.foreground import first_component, object_patches

pytestmark = pytest.mark.parity


def load(golden: Golden, folder: Path) -> Detector:
    meta = golden.meta
    mask = "first-component" if meta["masking"] else "everything"
    reference_mask = "first-component" if meta["mask_ref_images"] else "everything"
    return load_detector(
        "anomaly-dino",
        backbone=backbone_of(golden, folder),
        image_size=meta["smaller_edge"],
        overrides=[
            "profile=official",
            f"reference_store.views={8 if meta['rotation'] else 1}",
            f"reference_store.foreground={reference_mask}",
            f"scorer.foreground={mask}",
            f"scorer.neighbours={meta['k_neighbors']}",
        ],
    )


def views_of(golden: Golden, detector: Detector, path: Path) -> list[Array]:
    """Return the views of a reference; diagonal ones are those that OpenCV 4 turned, resized already."""
    assert isinstance(detector.store, ReferenceViews)
    views = list(detector.store.views(read_image(path)))
    if golden.meta["rotation"]:
        name = f"anomalydino_{golden.meta['smaller_edge']}_rotated_{path.stem}.npz"
        turned = Golden(golden.path.parent / name, {}).arrays
        for degrees in (45, 135, 225, 315):
            views[degrees // 45] = turned[f"{path.stem}_rot{degrees}"]
    return views


@pytest.mark.goldens("AnomalyDINO", arrays="image_score")
def test_every_array_agrees(kit: Kit, golden: Golden, tmp_path: Path) -> None:
    detector, meta = load(golden, tmp_path), golden.meta
    store = detector.store
    assert store is not None
    kept, grids = [], []
    for name in meta["reference_images"]:
        for view in views_of(golden, detector, kit.root / "references" / name):
            with torch.no_grad():
                features = detector.encode([view])
            grids.append((features.grid.height, features.grid.width))
            kept.append(store.remember(features, None))
    memory = store.fit(kept)
    detector.memories[EVERY_CLASS] = Remembered(memory, ())
    (bank,) = memory.values()
    mine: dict[str, Any] = {
        "bank_sub": bank[::64],
        "bank_rows": np.array([len(bank)]),
        "ref_grid": np.array(grids),
        "ref_masks_used": np.array([meta["mask_ref_images"]]),
        "ref_mask_rows": np.array([len(next(iter(batch.values()))) for batch in kept]),
    }
    found: dict[str, list[Any]] = {}
    for number, path in enumerate(kit.image_paths):
        with torch.no_grad():
            features = detector.encode([path])
        scores = dict(detector.stages(features))["anomaly_dino.nearest"]
        images, grid = detector.tensor(detector.samples([path])), features.grid
        (entry,), (width, height) = scores.sets, Image.open(path).size
        enlarged = F.interpolate(entry.values, (height, width), mode="bilinear", align_corners=False)[:, 0]
        whole = gaussian_blur(enlarged, 4)[0]
        tokens = features.token_sets[0].tokens[0]
        mask = object_patches(tokens[None], grid, 10)[0] if meta["masking"] else torch.ones(len(tokens)) > 0
        similar = F.normalize(tokens[mask.to(tokens.device)], dim=-1) @ bank.T
        mine |= {
            f"patch_features_sub_img{number}": tokens[::16],
            f"patch_distances_img{number}": entry.values[0, 0],
            f"pixel_map_sub_img{number}": whole[::8, ::8],
            f"nn_index_img{number}": similar.topk(meta["k_neighbors"], dim=1).indices,
        }
        if meta["masking"]:
            mine |= {f"first_pc_img{number}": first_component(tokens[None])[0], f"mask_img{number}": mask}
        ends = {
            "image_score": scores.required_image_score[0],
            "pixel_map_max": whole.amax(),
            "pixel_map_mean": whole.mean(),
            "grid": torch.tensor([grid.height, grid.width]),
            "preproc_shape": torch.tensor(images.shape[2:]),
        }
        for key, value in ends.items():
            found.setdefault(key, []).append(value.cpu().numpy())
        for key, value in preprocessed(images).items():
            if key in golden.arrays:
                found.setdefault(key, []).append(value[0])
    mine |= {key: np.stack(values) for key, values in found.items()}
    if "ref_mask_rows" not in golden.arrays:
        del mine["ref_mask_rows"]
    if not meta["masking"]:
        del mine["ref_masks_used"]
    turned = {"rotated_ref0_sub", "rotated_sha256"} & set(golden.arrays)
    assert_agrees(golden, mine, inputs=turned)


@pytest.mark.goldens("AnomalyDINO", arrays="rotated_ref0_sub")
def test_quarter_turns_are_those_of_opencv_and_others_are_close(
    kit: Kit, golden: Golden, tmp_path: Path
) -> None:
    """OpenCV 4 rounds positions to 1/32 of a pixel, OpenCV 5 and this do not."""
    detector, turned = load(golden, tmp_path), golden.arrays["rotated_ref0_sub"]
    assert isinstance(detector.store, ReferenceViews)
    views = detector.store.views(read_image(kit.root / "references" / "ref0.png"))
    for number, (view, expected) in enumerate(zip(views, turned, strict=True)):
        apart = np.abs(view[::24, ::24].astype(int) - expected.astype(int))
        if number % 2 == 0:
            digest = hashlib.sha256(np.ascontiguousarray(view).tobytes()).hexdigest()
            assert apart.max() == 0
            assert digest == golden.arrays["rotated_sha256"][number]
        else:
            assert apart.max() <= 3 and (apart > 0).mean() < 0.2
