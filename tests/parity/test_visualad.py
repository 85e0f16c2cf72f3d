"""VisualAD against its official code, from a checkpoint in the official format; and a training step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from tests.parity.goldens import Golden, Kit, assert_agrees
from tests.parity.preprocessed import preprocessed
from tests.parity.steps import assert_step_agrees, take_step
from zsad.detect.detector import Detector
from zsad.plugin.host import get_host
from zsad.values import ABNORMAL, NORMAL
from zsad.weights.checkpoints import convert_checkpoint
from zsad_plugins.visualad.contrast import state_tokens

pytestmark = pytest.mark.parity


def load(kit: Kit, golden: Golden, folder: Path, overrides: Sequence[str] = ()) -> Detector:
    meta = golden.meta
    weights = folder / "weights.safetensors"
    convert_checkpoint(get_host(), "visualad", kit.checkpoint(golden), weights)
    return kit.detector(
        golden,
        "visualad",
        weights=weights,
        overrides=[
            f"readout.taps={meta['features_list']}",
            f"feature_adapter.anchors={meta['num_anchors']}",
            f"post_processors.gaussian.sigma={meta['sigma']}",
            f"post_processors.map_top_mean.fraction={meta['topk_ratio']}",
            *overrides,
        ],
    )


@pytest.mark.goldens("VisualAD", arrays="image_score")
def test_every_array_agrees(kit: Kit, golden: Golden, tmp_path: Path) -> None:
    detector = load(kit, golden, tmp_path)
    samples = detector.samples(kit.image_paths)
    with torch.no_grad():
        features = detector.encode(samples)
        adapted, adapter = detector.adapt(features), detector.part("feature_adapter")
        prediction = detector.score(features)
        stages = dict(detector.stages(features))
        sequences = []
        for entry in features.token_sets:
            assert entry.injected is not None and entry.class_token is not None
            leading = [entry.injected[:, [ABNORMAL]], entry.injected[:, [NORMAL]], entry.class_token[:, None]]
            sequences.append(adapter.norm(torch.cat([*leading, entry.tokens], 1)))
    final, raw = prediction.anomaly_map, stages["standard.fuse"].map
    assert raw is not None
    enhanced = torch.stack([F.normalize(state_tokens(entry), dim=-1) for entry in adapted.token_sets], 1)
    mine = {
        "anomaly_features": sequences[-1][:, 0],
        "normal_features": sequences[-1][:, 1],
        "class_features": sequences[-1][:, 2],
        "tap_tokens_sub": torch.stack([tokens[:, ::16, ::2] for tokens in sequences], 1),
        "enhanced_anomaly": enhanced[:, :, ABNORMAL],
        "enhanced_normal": enhanced[:, :, NORMAL],
        "transformed_patches_sub": torch.stack([e.tokens[:, ::16, ::2] for e in adapted.token_sets], 1),
        "score_grid": torch.stack([entry.values.flatten(1) for entry in stages["visualad.contrast"].sets], 1),
        "pixel_map_raw_sub": raw[:, ::4, ::4],
        "pixel_map_sub": final[:, ::2, ::2],
        "pixel_map_max": final.amax((1, 2)),
        "pixel_map_mean": final.mean((1, 2)),
        "image_score": prediction.score,
    }
    assert_agrees(golden, mine | preprocessed(detector.tensor(samples)))


NAMES = {"attention.": "cross_attn/layer_attentions.layer_{}.", "mlp.": "layer_transforms/layer_{}/"}
LEAVES = {
    "anchors": "anchor_queries",
    "positions": "pos_encoding",
    "residual": "res_scale",
    "gate.": "gate.0.",
    "fc1.": "mlp.0.",
    "fc2.": "mlp.3.",
}


def official_name(name: str, taps: Sequence[int]) -> str:
    """Return what the authors' code calls a parameter."""
    if name.startswith("attention_refiner."):
        return (
            name.removeprefix("attention_refiner.")
            .replace("anomaly", "anomaly_token")
            .replace("normal", "normal_token")
        )
    name = name.removeprefix("feature_adapter.")
    for mine, theirs in NAMES.items():
        if name.startswith(mine):
            tap, _, leaf = name.removeprefix(mine).partition(".")
            for own, other in LEAVES.items():
                leaf = other + leaf.removeprefix(own) if leaf.startswith(own) else leaf
            return theirs.format(taps[int(tap)]) + leaf
    return name


@pytest.mark.goldens("VisualAD", arrays="loss_total")
def test_a_step_of_training_agrees(kit: Kit, golden: Golden, tmp_path: Path) -> None:
    golden = kit.with_options(golden)
    # The golden step begins with CLIP's norm, and without dropout.
    detector = load(kit, golden, tmp_path, ["training.parts.feature_adapter.options.dropout=0"])
    adapter = detector.part("feature_adapter")
    with torch.no_grad():
        adapter.ln_post.weight.copy_(adapter.own_weight)
        adapter.ln_post.bias.copy_(adapter.own_bias)
    taken = take_step(detector, kit, golden)
    losses = {
        "loss_image": taken.losses["visualad-image"],
        "loss_segmentation": taken.losses["visualad-maps"],
        "loss_contrastive": taken.losses["visualad-contrast"],
        "loss_total": sum(taken.losses.values()),
    }
    gradients = {
        official_name(name, golden.meta["features_list"]): gradient
        for name, gradient in taken.gradients.items()
    }
    assert_step_agrees(golden, losses, gradients, exact_zero="k_norm.bias")
