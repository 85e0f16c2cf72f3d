"""Crane and Crane+ against their official code, from checkpoints in the official format."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.loading import load_detector
from tests.parity.goldens import DEVICE, MARK, Golden, Kit, assert_agrees, differences
from tests.parity.preprocessed import preprocessed
from tests.parity.synthetic import TINY_DINO, digest, dino_state_dict
from zsad.detect.detector import Detector
from zsad.plugin.host import get_host
from zsad.values import ABNORMAL, Features, Sample
from zsad.weights.checkpoints import convert_checkpoint
from zsad_plugins.crane.fuse import upsampled
from zsad_plugins.crane.local_to_global import pooled_feature
from zsad_plugins.standard.scorers import cosine_logits

pytestmark = pytest.mark.parity

Arrays = dict[str, torch.Tensor]
FULL_TEXT = "tiny-v-full-t"
"""The kit's vision tower with a text tower of ViT-L/14's size, which the published checkpoints need."""


def kit_of(kit: Kit, golden: Golden) -> Kit:
    """Return the kit, with a model config for the full text tower where it brings none."""
    weights = str(golden.meta.get("weights", "")).lower().replace("_", "-")
    if weights != FULL_TEXT or (kit.root / f"{FULL_TEXT}.json").exists():
        return kit
    root = kit.scratch / "full-text"
    root.mkdir(exist_ok=True)
    tiny = next(
        json.loads(path.read_text()) for path in sorted(kit.root.glob("*.json")) if "tiny-l" in path.stem
    )
    text = {**tiny["text_cfg"], "width": 768, "heads": 12, "layers": 12}
    config = {**tiny, "embed_dim": 768, "quick_gelu": golden.meta["quick_gelu"], "text_cfg": text}
    (root / f"{FULL_TEXT}.json").write_text(json.dumps(config))
    (root / "manifest.json").write_text(json.dumps({**kit.manifest, "weights": {}}))
    return Kit(root, kit.scratch)


def checkpoint_of(kit: Kit, golden: Golden, require: Callable[[str, str], None]) -> Path:
    """Return the learned parameters; a published file is known by the hash that the golden's note gives."""
    note = str(golden.meta.get("note", ""))
    if "sha256" not in note:
        return kit.checkpoint(golden)
    for path in sorted((kit.root / "published").glob("*.pth")):
        if hashlib.sha256(path.read_bytes()).hexdigest() in note:
            return path
    require("published", f"the kit has not the checkpoint of {golden.name}")
    raise AssertionError("a missing checkpoint skips or fails")


def load(kit: Kit, golden: Golden, method: str, checkpoint: Path, *overrides: str) -> Detector:
    meta = golden.meta
    weights = kit.scratch / f"{golden.name}.safetensors"
    convert_checkpoint(get_host(), method, checkpoint, weights)
    return load_detector(
        method,
        backbone=kit_of(kit, golden).backbone(golden),
        weights=weights,
        device=DEVICE,
        dtype="float32",
        image_size=meta["image_size"],
        overrides=[
            "profile=official",
            f"readout.taps={meta['features_list']}",
            f"attention_refiner.start={meta['first_replaced_block_1based']}",
            f"attention_refiner.pairs={meta['attn_type'].split('+')}",
            f"prompt_learner.context_tokens={meta['n_ctx']}",
            f"prompt_learner.deep_tokens={meta['t_n_ctx']}",
            f"prompt_learner.deep_blocks={meta['depth'] - 1}",
            f"scorer.temperature={meta['temperature']}",
            f"scorer.share={meta['pool_alpha'] if meta['use_scorebase_pooling'] else 0}",
            f"post_processors.fuse.soft_mean={str(meta['soft_mean']).lower()}",
            f"post_processors.gaussian.sigma={meta['sigma']}",
            *overrides,
        ],
    )


def batches(samples: list[Sample], size: int) -> Iterator[list[Sample]]:
    for low in range(0, len(samples), size):
        yield samples[low : low + size]


def computed(detector: Detector, batch: list[Sample], meta: Any) -> Arrays:
    """Return the golden file's arrays of a batch, images first."""
    features = detector.encode(batch)
    conditioning = detector.condition(features)
    prediction = detector.score(features)
    assert conditioning is not None and conditioning.raw is not None
    text = conditioning.text_features
    tokens = torch.stack([entry.tokens for entry in features.token_sets])
    logits = torch.stack([cosine_logits(entry, text, meta["temperature"]) for entry in tokens])
    image = detector.part("scorer").image_feature(features, logits)
    stages = dict(detector.stages(features))
    grids = torch.stack([entry.values for entry in stages["crane.local_to_global"].sets])
    raw, final = stages["crane.fuse"].map, prediction.anomaly_map
    assert raw is not None
    return {
        "cls_features": features.image_feature,
        "patch_features_sub": tokens[:, :, ::8].transpose(0, 1),
        "patch_logits": logits.transpose(0, 1),
        "image_logits": cosine_logits(image[:, None], text, meta["temperature"])[:, 0],
        "text_features_raw": conditioning.raw,
        "text_features": text,
        "pooled_features": pooled_feature(tokens, logits),
        "layer_maps_abnormal_sub": layer_maps(grids, features, meta)[:, :, ::4, ::4],
        "pixel_map_raw_sub": raw[:, ::2, ::2],
        "pixel_map_sub": final[:, ::2, ::2],
        "pixel_map_max": final.amax((1, 2)),
        "pixel_map_mean": final.mean((1, 2)),
        "image_score": prediction.score,
        **dino_features(features),
    }


def layer_maps(grids: torch.Tensor, features: Features, meta: Any) -> torch.Tensor:
    """Return [B, K, S, S]: enlarged abnormal probabilities, or, for a mean of logits, enlarged logits."""
    values = grids.softmax(2) if meta["soft_mean"] else grids
    return torch.stack([upsampled(grid, features.input_size)[:, ABNORMAL] for grid in values], 1)


def dino_features(features: Features) -> Arrays:
    if "dinov2" not in features.auxiliary:
        return {}
    return {"dino_features_sub": features.auxiliary["dinov2"].permute(0, 3, 1, 2)[:, ::2, ::2, ::2]}


@torch.no_grad()
def arrays(golden: Golden, kit: Kit, detector: Detector, size: int) -> dict[str, Any]:
    """Return the golden file's arrays from batches of a size."""
    samples = detector.samples(kit.image_paths)
    found = [computed(detector, batch, golden.meta) for batch in batches(samples, size)]
    mine = {name: torch.cat([part[name] for part in found]).cpu().numpy() for name in found[0]}
    if golden.meta["train_with_img_cls_prob"] == 0:  # one pair of texts for all images
        for name in ("text_features_raw", "text_features"):
            np.testing.assert_array_equal(mine[name], np.broadcast_to(mine[name][:1], mine[name].shape))
            mine[name] = mine[name][:1]
    else:  # the file has the two states first
        mine["text_features_raw"] = mine["text_features_raw"].transpose(1, 0, 2)
    return mine | preprocessed(detector.tensor(samples))


@pytest.mark.goldens("Crane")
def test_every_array_of_crane_agrees(kit: Kit, golden: Golden, require: Callable[[str, str], None]) -> None:
    meta = golden.meta
    guided = meta["train_with_img_cls_prob"] > 0
    guide = [f"prompt_conditioner.place={meta['train_with_img_cls_type']}"] if guided else []
    method = "crane@image-prompt" if guided else "crane"
    detector = load(kit, golden, method, checkpoint_of(kit, golden, require), *guide)
    assert_agrees(golden, arrays(golden, kit, detector, meta["batch_size"]))


def load_plus(kit: Kit, golden: Golden, method: str) -> Detector:
    state = dino_state_dict(TINY_DINO, golden.meta["seed"])
    if golden.meta["seed"] == kit.manifest["seed"] and "TINY_DINO" in kit.manifest["weights"]:
        assert digest(state) == kit.manifest["weights"]["TINY_DINO"]
    path = kit.scratch / f"dino-{golden.meta['seed']}.safetensors"
    if not path.exists():
        save_file({key: torch.from_numpy(value) for key, value in state.items()}, path)
    dino = f"auxiliary.dinov2.model={path}"
    return load(kit, golden, method, kit.checkpoint(golden), dino)


@pytest.mark.goldens("Crane+")
def test_every_array_of_crane_plus_agrees(kit: Kit, golden: Golden) -> None:
    detector = load_plus(kit, golden, "crane-plus")
    assert_agrees(golden, arrays(golden, kit, detector, golden.meta["batch_size"]))


@pytest.mark.goldens("Crane+")
def test_the_threshold_per_image_is_the_official_code_at_batch_size_one(kit: Kit, golden: Golden) -> None:
    detector = load_plus(kit, golden, "crane-plus@per-image")
    found = differences(golden.arrays, arrays(golden, kit, detector, len(kit.image_paths)))
    maps = found["pixel_map_sub"]
    assert maps <= MARK if golden.meta["batch_size"] == 1 else maps > MARK
    assert found["cls_features"] <= MARK
