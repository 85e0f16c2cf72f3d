"""MuSc against its official code, on one class of twelve images: three and their mirror images."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.loading import load_detector
from tests.parity.goldens import DEVICE, Golden, Kit, assert_agrees
from tests.parity.preprocessed import preprocessed
from zsad.data.images import read_image

pytestmark = pytest.mark.parity

MIRRORED = "left-right flips, then top-bottom flips, then 180-degree rotations"


def variants(kit: Kit) -> list[np.ndarray]:
    """Return the kit's images, mirrored at native size: as they are, left-right, top-bottom, both."""
    images = [read_image(path) for path in kit.image_paths]
    whole, back = slice(None), slice(None, None, -1)
    turns = ((whole, whole), (whole, back), (back, whole), (back, back))
    return [np.ascontiguousarray(image[turn]) for turn in turns for image in images]


def steps(text: str) -> list[slice]:
    """Return the subsets in a description such as "[::4,::4]" or "(r, token[::16], channel[::4])"."""
    return [slice(None, None, int(step)) for step in re.findall(r"::(\d+)", text)]


@pytest.mark.goldens("MuSc")
def test_every_array_agrees(kit: Kit, golden: Golden) -> None:
    meta = golden.meta
    assert meta["gaussian"] is None and meta["image_order"].endswith(MIRRORED)
    detector = load_detector(
        "musc",
        backbone=kit.backbone(golden),
        device=DEVICE,
        dtype="float32",
        image_size=meta["image_size"],
        overrides=[
            "profile.base=official",
            f"profile.activation={'quick_gelu' if meta['quick_gelu'] else 'gelu'}",
            f"readout.taps={[block + 1 for block in meta['feature_layers_0based']]}",
            f"feature_adapter.sides={meta['r_list']}",
            f"scorer.interval={meta['topmin']}",
            f"post_processors.rscin.neighbours={meta['rscin_k']}",
        ],
    )
    samples = detector.samples(variants(kit))
    assert len(samples) == meta["n_images"]
    batches = [
        range(len(samples))[low:][: meta["batch_size"]] for low in range(0, len(samples), meta["batch_size"])
    ]
    with torch.no_grad():
        features = detector.encode(samples)
        scope = detector.scope()
        assert all(detector.add(scope, features.select(batch)) is None for batch in batches)
        prediction = detector.finish(scope)
        stages = dict(detector.stages(features))
        adapted = detector.adapt(features)
        kept = detector.part("scorer").collect(adapted, detector.condition(adapted))
        units = [entry.tokens for entry in kept.token_sets]
        mutual = torch.stack([detector.part("scorer").scores(t, torch.device(DEVICE)) for t in units])
    assert prediction is not None
    radii, taps = len(meta["r_list"]), len(meta["feature_layers_0based"])
    tokens = torch.stack(units).unflatten(0, (radii, taps))
    final, before = prediction.anomaly_map, stages["standard.map_maximum"].image_score
    assert before is not None
    rows, columns = steps(meta["pixel_subset"])
    token, channel = steps(meta["lnamd_sub"])
    images = len(golden.arrays["preproc_sub"])
    mine = {
        "cls_features_normalised": F.normalize(features.image_feature, dim=-1),
        "lnamd_features_sub": tokens[:, :, :, token, channel],
        "mutual_scores": mutual.unflatten(0, (radii, taps)),
        "token_map": stages["musc.mutual"].sets[0].values.flatten(1),
        "pixel_map_sub": final[:, rows, columns],
        "pixel_map_max": final.amax((1, 2)),
        "pixel_map_mean": final.mean((1, 2)),
        "image_score_before_rscin": before,
        "image_score": prediction.score,
    }
    pixels = preprocessed(detector.tensor(samples[:images]))
    assert_agrees(golden, mine | pixels)
