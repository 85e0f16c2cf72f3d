"""FAPrompt against its official code, from a checkpoint in the official format; and a training step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from tests.parity.goldens import Golden, Kit, assert_agrees
from tests.parity.preprocessed import preprocessed
from tests.parity.steps import assert_step_agrees, take_step
from zsad.detect.detector import Detector
from zsad.plugin.host import get_host
from zsad.weights.checkpoints import convert_checkpoint
from zsad_plugins.standard.scorers import cosine_logits

pytestmark = pytest.mark.parity


def load(kit: Kit, golden: Golden, folder: Path, overrides: Sequence[str] = ()) -> Detector:
    meta = golden.meta
    weights = folder / "weights.safetensors"
    convert_checkpoint(get_host(), "faprompt", kit.checkpoint(golden), weights)
    return kit.detector(
        golden,
        "faprompt",
        weights=weights,
        overrides=[
            f"attention_refiner.start={meta['first_vv_block_1based']}",
            f"prompt_learner.context_tokens={meta['n_ctx_pos']}",
            f"prompt_learner.abnormal_tokens={meta['n_ctx_neg']}",
            f"prompt_learner.abnormal_prompts={meta['n_neg_prompts']}",
            f"prompt_learner.deep_tokens={meta['t_n_ctx']}",
            f"prompt_learner.deep_blocks={meta['depth'] - 1}",
            f"prompt_conditioner.count={meta['selected_patches']}",
            f"scorer.temperature={meta['temperature']}",
            f"post_processors.gaussian.sigma={meta['sigma']}",
            *overrides,
        ],
    )


@pytest.mark.goldens("FAPrompt", arrays="image_score")
def test_every_array_agrees(kit: Kit, golden: Golden, tmp_path: Path) -> None:
    detector, meta = load(kit, golden, tmp_path), golden.meta
    samples = detector.samples(kit.image_paths)
    with torch.no_grad():
        features = detector.encode(samples)
        conditioning = detector.condition(features)
        prediction = detector.score(features)
        stages = dict(detector.stages(features))
    assert conditioning.raw is not None and conditioning.provisional is not None
    first = conditioning.provisional.conditioning
    assert first.raw is not None
    (entry,) = features.token_sets
    assert entry.class_token is not None
    tokens = torch.cat([entry.class_token[:, None], entry.tokens], 1)
    probabilities = [
        cosine_logits(tokens, text.text_features, meta["temperature"]).softmax(-1)
        for text in (first, conditioning)
    ]
    tower = detector.backbone.text_tower(detector.recipe.text_profile)
    assert tower is not None
    context = "N " * meta["n_ctx_pos"]
    sentences = [f"{context}object.", f"{context}{'A ' * meta['n_ctx_neg']}damaged object."]
    ids = tower.tokenize(sentences)
    lengths = [len(golden.arrays[f"prompt_token_ids_{side}"]) for side in ("pos", "neg")]
    final, raw = prediction.anomaly_map, stages["standard.fuse"].map
    assert raw is not None
    mine = {
        "cls_features": features.image_feature,
        "patch_features_sub": tokens[:, ::8],
        "prompt_token_ids_pos": ids[0, : lengths[0]],
        "prompt_token_ids_neg": ids[1, : lengths[1]],
        "text_stage1_pos": first.raw[0, :1],
        "text_stage1_neg": first.raw[0, 1:],
        "text_features_stage1": first.text_features[0],
        "bias": conditioning.intermediates["faprompt.shift"],
        "text_stage2_neg": conditioning.raw[:, 1:],
        "text_features_stage2": conditioning.text_features,
        "token_probs_stage1": probabilities[0],
        "token_probs_stage2": probabilities[1],
        "pixel_map_raw_sub": raw[:, ::4, ::4],
        "pixel_map_sub": final[:, ::2, ::2],
        "pixel_map_max": final.amax((1, 2)),
        "pixel_map_mean": final.mean((1, 2)),
        "image_score": prediction.score,
    }
    assert_agrees(golden, mine | preprocessed(detector.tensor(samples)))


NAMES = {
    "prompt_learner.context": "ctx_pos",
    "prompt_learner.abnormal": "ctx_neg",
    "prompt_conditioner.": "patch_meta_net.",
}
PLAN = {
    "loss_map1": ("faprompt-first-maps", 1.0),
    "loss_map2": ("faprompt-maps", 0.5),
    "loss_cross_entropy": ("faprompt-image", 1.0),
    "loss_binary_focal": ("faprompt-score", 1.0),
    "loss_pairs": ("faprompt-pairs", 0.1),
    "loss_bias": ("faprompt-shift", 1.0),
}


@pytest.mark.goldens("FAPrompt", arrays="loss_total")
def test_a_step_of_training_agrees(kit: Kit, golden: Golden, tmp_path: Path) -> None:
    golden = kit.with_options(golden)
    published = "training.losses.faprompt-score.options.second_sigmoid=true"
    taken = take_step(load(kit, golden, tmp_path, [published]), kit, golden)
    losses = {name: taken.losses[mine] / weight for name, (mine, weight) in PLAN.items()}
    gradients: dict[str, torch.Tensor] = {}
    for name, gradient in taken.gradients.items():
        if name == "prompt_learner.deep":
            gradients |= {f"compound_prompts_text.{n}": rows for n, rows in enumerate(gradient)}
            continue
        for mine, theirs in NAMES.items():
            if name.startswith(mine):
                leading = {"ctx_pos": (1, 1), "ctx_neg": (1,)}.get(theirs, ())
                gradients[theirs + name.removeprefix(mine)] = gradient.reshape(*leading, *gradient.shape)
    assert_step_agrees(golden, {**losses, "loss_total": sum(taken.losses.values())}, gradients)
