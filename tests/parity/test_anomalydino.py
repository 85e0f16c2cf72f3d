"""AnomalyDINO against its official code, from images that keep their aspect."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from tests.loading import load_detector
from tests.parity.goldens import Golden, Kit, assert_agrees
from tests.parity.preprocessed import preprocessed
from tests.parity.test_vision_towers import backbone_of, normalised, resized
from zsad.data.images import read_image
from zsad.detect.detector import Detector
from zsad.detect.smoothing import gaussian_blur
from zsad.values import Conditioning, Features
from zsad_plugins.anomaly_dino.foreground import first_component, object_patches

pytestmark = pytest.mark.parity

DIAGONALS = (45, 135, 225, 315)


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


def short_side(path: Path, edge: int) -> tuple[int, int]:
    """Return width and height of an image whose shorter side is ``edge``."""
    width, height = Image.open(path).size
    short = min(width, height)
    return edge * width // short, edge * height // short


def tensor(picture: Image.Image, detector: Detector) -> Tensor:
    """Return the input for a resized picture, which is cut to whole patches: [1, 3, H, W]."""
    patch = detector.tower.patch_size
    width, height = (side - side % patch for side in picture.size)
    return normalised(picture.crop((0, 0, width, height)), detector.backbone)


def read(detector: Detector, images: Tensor) -> Features:
    """Return what the method reads of an input, as its own request says."""
    with torch.no_grad():
        (output,) = detector.tower(images.to(detector.backbone.device), [detector.reading.request])
    return Features(output.token_sets, output.image_feature, ("object",), images.shape[-1])


def reference_pictures(kit: Kit, golden: Golden, detector: Detector, path: Path) -> Iterator[Image.Image]:
    """Yield the views of a reference at the input's size; diagonal ones are those that OpenCV 4 turned."""
    edge = golden.meta["smaller_edge"]
    width, height = short_side(path, edge)
    if not golden.meta["rotation"]:
        yield resized(path, width, height, Image.Resampling.BICUBIC)
        return
    aid = Golden(golden.path.parent / f"anomalydino_{edge}_rotated_{path.stem}.npz", {}).arrays
    for number, view in enumerate(detector.store.views(read_image(path))):  # type: ignore[union-attr]
        degrees = 45 * number
        if degrees in DIAGONALS:
            yield Image.fromarray(aid[f"{path.stem}_rot{degrees}"])
        else:
            yield Image.fromarray(view).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.goldens("AnomalyDINO", arrays="image_score")
def test_every_array_agrees(kit: Kit, golden: Golden, tmp_path: Path) -> None:
    detector, meta = load(golden, tmp_path), golden.meta
    store, scorer = detector.store, detector.part("scorer")
    assert store is not None
    kept, grids = [], []
    for name in meta["reference_images"]:
        for picture in reference_pictures(kit, golden, detector, kit.root / "references" / name):
            features = read(detector, tensor(picture, detector))
            grids.append((features.grid.height, features.grid.width))
            kept.append(store.remember(features, None))
    memory = store.fit(kept)
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
        picture = resized(path, *short_side(path, meta["smaller_edge"]), Image.Resampling.BICUBIC)
        images = tensor(picture, detector)
        features = read(detector, images)
        scores = scorer(features, Conditioning(torch.zeros(1, 0, 1), memory=memory))
        (entry,), grid = scores.sets, features.grid
        width, height = Image.open(path).size
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
    views = detector.store.views(read_image(kit.root / "references" / "ref0.png"))  # type: ignore[union-attr]
    for number, (view, expected) in enumerate(zip(views, turned, strict=True)):
        apart = np.abs(view[::24, ::24].astype(int) - expected.astype(int))
        if number % 2 == 0:
            digest = hashlib.sha256(np.ascontiguousarray(view).tobytes()).hexdigest()
            assert apart.max() == 0
            assert digest == golden.arrays["rotated_sha256"][number]
        else:
            assert apart.max() <= 3 and (apart > 0).mean() < 0.2
