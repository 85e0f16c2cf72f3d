"""MRAD against its official code: the memories it builds, and what they say of images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.parity.goldens import DEVICE, Golden, Kit, assert_agrees
from tests.parity.preprocessed import preprocessed
from tests.parity.synthetic_adapters import mrad_maps
from zsad.detect.detector import Detector
from zsad.plugin.host import get_host
from zsad.weights.checkpoints import convert_checkpoint

pytestmark = pytest.mark.parity

LABELS = ([False, True, True], [False, False, True])
"""Of the references, and of their mirror images."""


def batches(kit: Kit, size: int) -> Iterator[tuple[list[np.ndarray], Tensor, Tensor]]:
    """Yield images, masks at the image size and labels of both batches that a memory is made of."""
    paths = sorted((kit.root / "references").glob("ref*.png"))
    for number, labels in enumerate(LABELS):
        images, masks = [], []
        for place, (path, label) in enumerate(zip(paths, labels, strict=True)):
            image = np.asarray(Image.open(path).convert("RGB"))
            image = image[:, ::-1].copy() if number else image
            height, width = image.shape[:2]
            mask, first = np.zeros((height, width), np.uint8), place + number
            if label:
                columns = slice(first * width // 8, (first + 4) * width // 8)
                mask[height // 4 : 3 * height // 4, columns] = 255
            images.append(image)
            # The official resize of masks; the project's own readers keep another rule.
            masks.append(np.asarray(Image.fromarray(mask).resize((size, size), Image.Resampling.BILINEAR)))
        yield images, torch.from_numpy(np.stack(masks) / 255 > 0.5), torch.tensor(labels)


def load(kit: Kit, golden: Golden, **options: Any) -> Detector:
    meta = golden.meta
    depth = int(meta["tap"].removeprefix("block "))
    return kit.detector(
        golden,
        "mrad@ft" if meta["model_type"] == "mrad-ft" else "mrad",
        overrides=[
            f"readout.taps=[{depth}]",
            f"attention_refiner.start={meta['first_replaced_block']}",
            f"post_processors.gaussian.sigma={meta['sigma']}",
            f"post_processors.image_score.share={meta['k']}",
        ],
        **options,
    )


def filled(kit: Kit, golden: Golden, folder: Path) -> Detector:
    """Return the golden's method with weights from files in the authors' form: memories and linear maps."""
    detector = load(kit, golden, untrained=True)
    memory = detector.part("scorer")
    kept = []
    with torch.no_grad():
        for images, masks, labels in batches(kit, golden.meta["image_size"]):
            adapted = detector.adapt(detector.encode(images))
            kept.append(memory.remember(adapted, masks.to(DEVICE), labels.to(DEVICE)))
        memory.fill(kept)
    files = []
    for name in ("image", "patch"):
        keys, anomalous = (memory.get_buffer(f"{name}_{what}").cpu() for what in ("keys", "anomalous"))
        files.append(folder / f"{name}.pt")
        torch.save({"keys": keys, "values": torch.stack([~anomalous, anomalous], 1).float()}, files[-1])
    method = detector.recipe.method
    if method == "mrad@ft":
        maps = mrad_maps(kit.clip_state(golden), golden.meta["seed"])
        state = {
            entry: {key: torch.from_numpy(value) for key, value in layers.items()}
            for entry, layers in maps.items()
        }
        torch.save(state, folder / "maps.pth")
        files.insert(0, folder / "maps.pth")
    convert_checkpoint(get_host(), method, files, folder / "weights.safetensors")
    return load(kit, golden, weights=folder / "weights.safetensors")


@pytest.mark.goldens("MRAD")
def test_every_array_agrees(kit: Kit, golden: Golden, tmp_path: Path) -> None:
    detector = filled(kit, golden, tmp_path)
    samples = detector.samples(kit.image_paths)
    memory = detector.part("scorer")
    with torch.no_grad():
        features = detector.encode(samples)
        stages, prediction = dict(detector.stages(features)), detector.score(features)
    scored = stages[f"mrad.{'projected' if detector.recipe.method == 'mrad@ft' else 'memory'}"]
    raw, final = stages["standard.fuse"].map, prediction.anomaly_map
    assert raw is not None
    abnormal = scored.required_image_score

    def values(name: str) -> Tensor:
        flags = memory.get_buffer(f"{name}_anomalous")
        return torch.stack([~flags, flags], 1).int()

    mine = {
        "preproc_shape": np.array([[golden.meta["image_size"]] * 2] * 3, np.int32),
        "cls_features": features.image_feature,
        "patch_features_sub": features.token_sets[0].tokens[:, ::8],
        "image_keys": memory.image_keys,
        "image_values": values("image"),
        "patch_keys": memory.patch_keys,
        "patch_values": values("patch"),
        "patch_prob": scored.sets[0].values.permute(0, 2, 3, 1),
        "image_prob": torch.stack([1 - abnormal, abnormal], 1),
        "pixel_map_raw_sub": raw[:, ::2, ::2],
        "pixel_map_sub": final[:, ::2, ::2],
        "pixel_map_max": final.amax((1, 2)),
        "pixel_map_mean": final.mean((1, 2)),
        "image_score": prediction.score,
    }
    assert_agrees(golden, mine | preprocessed(detector.tensor(samples)))
