"""AnomalyCLIP against its official code, from a checkpoint in the official format."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.parity.goldens import Golden, Kit, assert_agrees
from tests.parity.preprocessed import preprocessed
from zsad.plugin.host import get_host
from zsad.values import ABNORMAL
from zsad.weights.checkpoints import convert_checkpoint
from zsad_plugins.standard.scorers import cosine_logits

pytestmark = pytest.mark.parity


@pytest.mark.goldens("AnomalyCLIP")
def test_every_array_agrees(kit: Kit, golden: Golden, tmp_path: Path) -> None:
    meta = golden.meta
    weights = tmp_path / "weights.safetensors"
    convert_checkpoint(get_host(), "anomalyclip", kit.checkpoint(golden), weights)
    detector = kit.detector(
        golden,
        "anomalyclip",
        weights=weights,
        overrides=[
            f"readout.taps={meta['features_list']}",
            f"attention_refiner.start={meta['first_vv_block_1based']}",
            f"prompt_learner.context_tokens={meta['n_ctx']}",
            f"prompt_learner.deep_tokens={meta['t_n_ctx']}",
            f"prompt_learner.deep_blocks={meta['depth'] - 1}",
            f"scorer.temperature={meta['temperature']}",
            f"post_processors.gaussian.sigma={meta['sigma']}",
        ],
    )
    samples = detector.samples(kit.image_paths)
    with torch.no_grad():
        features = detector.encode(samples)
        conditioning = detector.condition(features)
        prediction = detector.score(features)
        assert conditioning is not None and conditioning.raw is not None
        text = conditioning.text_features
        tokens = [torch.cat([s.class_token[:, None], s.tokens], 1) for s in features.token_sets]
        probabilities = [cosine_logits(t, text, meta["temperature"]).softmax(-1) for t in tokens]
        stages = dict(detector.stages(features))
    final, raw = prediction.anomaly_map, stages["standard.fuse"].map
    assert raw is not None
    layers = torch.stack([entry.values[:, ABNORMAL] for entry in stages["standard.upsample"].sets], 1)
    step = meta["image_size"] // golden.arrays["layer_maps_abnormal_sub"].shape[-1]
    mine = {
        "cls_features": features.image_feature,
        "patch_features_sub": torch.stack([t[:, ::8] for t in tokens], 1),
        "text_features_raw": conditioning.raw[0],
        "text_features": text[0],
        "token_probs": torch.stack(probabilities, 1),
        "layer_maps_abnormal_sub": layers[:, :, ::step, ::step],
        "pixel_map_raw_sub": raw[:, ::2, ::2],
        "pixel_map_sub": final[:, ::2, ::2],
        "pixel_map_max": final.amax((1, 2)),
        "pixel_map_mean": final.mean((1, 2)),
        "image_score": prediction.score,
    }
    assert_agrees(golden, mine | preprocessed(detector.tensor(samples)))
