"""AF-CLIP against its official code, from a checkpoint in the official format, one training step included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.parity.goldens import AGREEMENTS, MARK, Agreement, Golden, Kit, assert_agrees
from tests.parity.learning import gradients, losses_and_gradients
from tests.parity.preprocessed import preprocessed
from tests.parity.remembering import remember_in_order
from tests.parity.synthetic_adapters import write_afclip
from zsad.data.images import read_image
from zsad.detect.detector import Detector
from zsad.plugin.host import get_host
from zsad.weights.checkpoints import convert_checkpoint

pytestmark = pytest.mark.parity

NAMES = {
    "state_prompt_embedding": "prompt_learner.context",
    "adaptor.attention.attn.to_q.weight": "feature_adapter.q_proj.weight",
    "adaptor.attention.attn.to_k.weight": "feature_adapter.k_proj.weight",
    "adaptor.attention.attn.to_v.weight": "feature_adapter.v_proj.weight",
    "adaptor.attention.attn.to_out.0.weight": "feature_adapter.out_proj.weight",
    "adaptor.attention.attn.to_out.0.bias": "feature_adapter.out_proj.bias",
    "adaptor.attention.norm.weight": "feature_adapter.norm.weight",
    "adaptor.attention.norm.bias": "feature_adapter.norm.bias",
}
"""The names that published code gives to what is learned, and those of weights files."""


def load(
    kit: Kit, golden: Golden, folder: Path, method: str = "af-clip", overrides: Sequence[str] = ()
) -> Detector:
    """Load the golden's method; a file of a training step does not say its options, which are the kit's."""
    meta = {"checkpoint": ["afclip_prompt.pt", "afclip_adaptor.pt"], "quick_gelu": True, **golden.meta}
    full = Golden(golden.path, meta)
    weights = folder / "weights.safetensors"
    convert_checkpoint(get_host(), "af-clip", kit.checkpoints(full, write_afclip), weights)
    taps = meta.get("features_list", [3, 6, 9, 12])
    sides = meta.get("neighbourhoods", [1, 3, 5])
    return kit.detector(
        full,
        method,
        weights=weights,
        overrides=[
            f"readout.taps={taps}",
            f"feature_adapter.sides={sides}",
            f"prompt_learner.tokens={meta.get('prompt_len', 12)}",
            f"scorer.temperature={meta.get('temperature', 0.07)}",
            f"post_processors.gaussian.sigma={meta.get('sigma', 4)}",
            *overrides,
        ],
    )


@pytest.mark.goldens("AF-CLIP", arrays="token_logit_sum")
def test_every_array_agrees(kit: Kit, golden: Golden, tmp_path: Path) -> None:
    detector = load(kit, golden, tmp_path)
    samples = detector.samples(kit.image_paths)
    adapter, scorer, learner = (
        detector.part(kind) for kind in ("feature_adapter", "scorer", "prompt_learner")
    )
    assert detector.text_side is not None
    text = detector.text_side.tower
    with torch.no_grad():
        features = detector.encode(samples)
        adapted = detector.adapt(features)
        conditioning = detector.condition(adapted)
        prediction, stages = detector.score(features), dict(detector.stages(features))
        assert conditioning.raw is not None

        def tokens(sets, rows: int, columns: int) -> torch.Tensor:
            whole = [torch.cat([s.class_token[:, None], s.tokens], 1) for s in sets]
            return torch.stack([t[:, ::rows, ::columns] for t in whole], 1)

        logits = scorer.logits(adapted, conditioning)
        raw, final = stages["standard.fuse"].map, prediction.anomaly_map
        assert raw is not None
        mine = {
            "prompt_token_ids": text.tokenizer(learner.sentences).int(),
            "text_features_raw": conditioning.raw[0],
            "text_features": conditioning.text_features[0],
            "tap_tokens_sub": tokens(features.token_sets, 16, 4),
            "neighbour_tokens_sub": tokens(adapter.neighbours(features), 24, 8),
            "adapted_features_sub": tokens(adapted.token_sets, 24, 4),
            "token_logits_sub": logits[:, :, ::4],
            "token_logit_sum": logits.sum(1),
            "grid_map": stages["standard.softmax"].sets[0].values[:, 1],
            "pixel_map_raw_sub": raw[:, ::4, ::4],
            "pixel_map_sub": final[:, ::2, ::2],
            "pixel_map_max": final.amax((1, 2)),
            "pixel_map_mean": final.mean((1, 2)),
            "image_score": prediction.score,
        }
    assert_agrees(golden, mine | preprocessed(detector.tensor(samples)))


@pytest.mark.goldens("AF-CLIP", arrays="memory_score")
def test_every_array_of_the_few_shot_method_agrees(kit: Kit, golden: Golden, tmp_path: Path) -> None:
    alpha = f"scorer.alpha={golden.meta['alpha']}"
    detector = load(kit, golden, tmp_path, "af-clip@few-shot", [alpha])
    first, second = (read_image(path) for path in kit.image_paths[:2])
    references = [first[:, ::-1].copy(), second[::-1, ::-1].copy()]
    memory = remember_in_order(detector, references)
    samples = detector.samples(kit.image_paths)
    scorer = detector.part("scorer")
    with torch.no_grad():
        features = detector.encode(samples)
        adapted = detector.adapt(features)
        conditioning = replace(detector.condition(adapted), memory=memory)
        prediction, stages = detector.score(features), dict(detector.stages(features))
        distance = scorer.remembered(adapted, conditioning)
        zero_shot = scorer.zero_shot(adapted, conditioning)
    raw, final = stages["standard.fuse"].required_map, prediction.anomaly_map
    tensors = preprocessed(detector.tensor(detector.samples(references)))
    mine = {
        "memory_sub": torch.stack([keys[::24, ::8] for keys in memory.values()]),
        "memory_grid_map": adapted.grid.to_maps(distance[..., None])[:, 0],
        "memory_score": distance.amax(1),
        "zeroshot_score": zero_shot.required_image_score,
        "grid_map": stages["af-clip.remembered"].sets[0].values[:, 0],
        "pixel_map_raw_sub": raw[:, ::4, ::4],
        "pixel_map_sub": final[:, ::2, ::2],
        "pixel_map_max": final.amax((1, 2)),
        "pixel_map_mean": final.mean((1, 2)),
        "image_score": prediction.score,
        "reference_sha256": tensors["preproc_sha256"],
    }
    assert_agrees(golden, mine | preprocessed(detector.tensor(samples)))


@pytest.mark.goldens("AF-CLIP", arrays="loss_total")
@pytest.mark.parametrize("gradient", ["mask", "as-published"])
def test_a_training_step_agrees(kit: Kit, golden: Golden, tmp_path: Path, gradient: str) -> None:
    detector = load(kit, golden, tmp_path)
    arrays = golden.arrays
    found = losses_and_gradients(
        detector, kit.image_paths, arrays["mask"], arrays["labels"],
        {"af-clip-map": {"gradient": gradient}},
    )  # fmt: skip
    expected = {
        "af-clip-image": arrays["loss_image"],
        "af-clip-map": arrays["loss_map_focal"] + arrays["loss_map_l1"],
        "af-clip-alignment": arrays["loss_alignment"],
    }
    assert found == pytest.approx({k: float(v) for k, v in expected.items()}, rel=1e-5)
    assert sum(found.values()) == pytest.approx(float(arrays["loss_total"]), rel=1e-5)
    prefix = "clean_" if gradient == "mask" else ""
    mine = gradients(detector, NAMES)
    assert set(mine) == set(arrays["grad_names"].tolist())
    norms = dict(zip(arrays["grad_names"].tolist(), arrays[f"{prefix}grad_norms"].tolist(), strict=True))
    off = {name: abs(float(g.norm()) - norms[name]) / norms[name] for name, g in mine.items()}
    assert max(off.values()) <= MARK, off
    if gradient == "as-published":
        worst = max(off, key=lambda name: off[name])
        AGREEMENTS.append(Agreement(golden.name, worst, off[worst]))
    for name in arrays:
        if name.startswith(f"{prefix}grad/"):
            full, own = arrays[name], mine[name.partition("/")[2]].reshape(arrays[name].shape)
            assert np.abs(own.numpy() - full).max() <= MARK * full.std(), name
