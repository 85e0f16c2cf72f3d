"""APRIL-GAN against its official code, from a checkpoint in the official format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.loading import load_detector
from tests.parity import synthetic
from tests.parity.goldens import DEVICE, Golden, Kit, assert_agrees
from tests.parity.preprocessed import preprocessed
from zsad.plugin.host import get_host
from zsad.values import ABNORMAL
from zsad.weights.checkpoints import convert_checkpoint

pytestmark = pytest.mark.parity


@pytest.mark.goldens("APRIL-GAN")
def test_every_array_agrees(kit: Kit, golden: Golden, tmp_path: Path) -> None:
    meta = golden.meta
    # At the backbone's native size the official code takes QuickGELU, at any other one GELU.
    method = "aprilgan@336" if meta["quick_gelu"] else "aprilgan"
    weights = tmp_path / "weights.safetensors"
    convert_checkpoint(get_host(), method, kit.checkpoint(golden), weights)
    overrides = [
        "profile=official",
        f"readout.taps={meta['features_list']}",
        f"scorer.temperature={1 / meta['logit_scale']}",
    ]
    if meta["gaussian"] is not None:
        overrides += [
            "post_processors+=standard.gaussian",
            f"post_processors.gaussian.sigma={meta['gaussian']}",
        ]
    detector = load_detector(
        method,
        backbone=kit.backbone(golden),
        weights=weights,
        device=DEVICE,
        dtype="float32",
        image_size=meta["image_size"],
        overrides=overrides,
    )
    samples = detector.samples(kit.image_paths, meta["class_name"])
    with torch.no_grad():
        features = detector.encode(samples)
        adapted = detector.adapt(features)
        conditioning = detector.condition(adapted)
        prediction = detector.score(features)
        stages = dict(detector.stages(features))
    raw = [torch.cat([entry.class_token[:, None], entry.tokens], 1) for entry in features.token_sets]
    learner = detector.part("prompt_learner")
    ids = [learner.text.tokenize(sentences) for sentences in learner.sentences(meta["class_name"])]
    templates = len(learner.words.templates)
    # The official order is state by state, zsad's template by template.
    normal, abnormal = (i.view(templates, -1, i.shape[-1]).transpose(0, 1).flatten(0, 1) for i in ids)
    layers = torch.stack([entry.values[:, ABNORMAL] for entry in stages["standard.softmax"].sets], 1)
    step = meta["image_size"] // golden.arrays["layer_maps_sub"].shape[-1]
    final = prediction.anomaly_map
    mine = {
        "cls_features": adapted.image_feature,
        "patch_tokens_raw_sub": torch.stack([tokens[:, ::16] for tokens in raw], 1),
        "patch_features_sub": torch.stack([entry.tokens[:, ::8] for entry in adapted.token_sets], 1),
        "text_features": conditioning.text_features[0].T,
        "prompt_token_ids_normal": normal,
        "prompt_token_ids_abnormal": abnormal,
        "patch_logits": torch.stack([entry.values for entry in stages["standard.cosine"].sets], 1),
        "layer_maps_sub": layers[:, :, ::step, ::step],
        "pixel_map_sub": final[:, ::2, ::2],
        "pixel_map_max": final.amax((1, 2)),
        "pixel_map_mean": final.mean((1, 2)),
        "image_score": prediction.score,
    }
    assert_agrees(golden, mine | preprocessed(detector.tensor(samples)))


@pytest.mark.goldens("APRIL-GAN")
def test_generated_checkpoint_is_the_one_the_golden_was_computed_with(kit: Kit, golden: Golden) -> None:
    (state,) = torch.load(kit.checkpoint(golden), weights_only=True).values()
    (generated,) = synthetic.aprilgan_checkpoint(
        kit.clip_state(golden), golden.meta["seed"], golden.meta
    ).values()
    assert generated.keys() == state.keys()
    for key, value in generated.items():
        np.testing.assert_array_equal(value, state[key].numpy())
    # Kits with a checkpoint of their own need no digest of it.
    if "APRILGAN" in kit.manifest["weights"]:
        assert synthetic.digest(generated) == kit.manifest["weights"]["APRILGAN"]
