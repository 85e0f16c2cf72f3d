"""AdaCLIP against its official code, from a checkpoint in the official format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.loading import load_detector
from tests.parity import synthetic
from tests.parity.goldens import DEVICE, MARK, Golden, Kit, assert_agrees
from tests.parity.preprocessed import preprocessed
from zsad.detect.detector import Detector
from zsad.plugin.host import get_host
from zsad.weights.checkpoints import convert_checkpoint
from zsad_plugins.adaclip.fusion import mean_logits

pytestmark = pytest.mark.parity

LAST_DIGITS = dict.fromkeys(("pixel_map_sub", "pixel_map_raw_sub", "pixel_map_max"), 3 * MARK)
"""The last digits of the plain image feature decide how some prompts round to float16, and these three arrays
show it (the kit's README: noise of 1e-6 moves them by up to 2.3e-4, no rounding at all by 5.9e-4 or more)."""


def checkpoint(kit: Kit, golden: Golden) -> Path:
    """The kit's own file, else one generated in the same form: tensors without an entry around them."""
    own = kit.root / "checkpoints" / golden.meta["checkpoint"]
    if own.exists():
        return own
    path = kit.scratch / golden.name / golden.meta["checkpoint"]
    if not path.exists():
        state = synthetic.adaclip_parameters(kit.clip_state(golden), golden.meta["seed"], golden.meta)
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save({key: torch.from_numpy(value.copy()) for key, value in state.items()}, path)
    return path


def load(kit: Kit, golden: Golden, folder: Path) -> Detector:
    meta = golden.meta
    static, dynamic = (letter in meta["prompting_type"] for letter in "SD")
    weights = folder / "weights.safetensors"
    convert_checkpoint(get_host(), "adaclip", checkpoint(kit, golden), weights)
    overrides = [
        "profile=official",
        f"readout.taps={meta['features_list']}",
        f"attention_refiner.length={meta['prompting_length']}",
        f"attention_refiner.blocks={meta['prompting_depth']}",
        f"prompt_conditioner.length={meta['prompting_length']}",
        f"prompt_conditioner.deep_blocks={meta['prompting_depth'] - 1}",
        f"post_processors.gaussian.sigma={meta['sigma']}",
    ]
    for part in ("attention_refiner", "prompt_conditioner"):
        overrides += [f"{part}.static={static}", f"{part}.dynamic={dynamic}"]
    if meta["use_hsf"]:
        overrides += [f"scorer.clusters={meta['k_clusters']}", f"scorer.weight={meta['hsf_alpha']}"]
        count = golden.arrays["kmeans_labels"].shape[1]
        overrides.append(f"scorer.patches_per_cluster={count // meta['k_clusters']}")
    else:
        overrides.append("scorer=standard.cosine")
    overrides.append(f"scorer.temperature={1 / meta['logit_scale']}")
    detector = load_detector(
        "adaclip",
        backbone=kit.backbone(golden),
        weights=weights,
        device=DEVICE,
        dtype="float32",
        image_size=meta["image_size"],
        overrides=overrides,
    )
    if meta["use_hsf"]:
        follow_order(detector.part("scorer"), golden)
    return detector


def follow_order(scorer: Any, golden: Golden) -> None:
    """Check the order of the patches that are clustered, and take the golden one.

    k-means starts from that order. Two patches in it may be closer than the last digits of the logits (4e-6
    in one kit), so orders may differ there, and only there; what follows is compared on the same order.
    """
    given = torch.from_numpy(golden.arrays["patch_logits"]).mean(1).transpose(1, 2)
    count = golden.arrays["kmeans_labels"].shape[1]
    cluster = scorer.cluster

    def ordered(features: Any, logits: Tensor) -> tuple[Tensor, Tensor]:
        known = given.to(logits)
        exact, own = ((x[:, 1] - x[:, 0]) for x in (known, logits.flatten(2)))
        sorted_by = [exact.gather(1, x.argsort(dim=1, descending=True, stable=True)) for x in (exact, own)]
        torch.testing.assert_close(sorted_by[1][:, :count], sorted_by[0][:, :count], atol=1e-4, rtol=0)
        return cluster(features, known.reshape(logits.shape))

    scorer.cluster = ordered


def computed(detector: Detector, kit: Kit, golden: Golden) -> dict[str, Any]:
    meta = golden.meta
    refiner, conditioner = detector.part("attention_refiner"), detector.part("prompt_conditioner")
    samples = detector.samples(kit.image_paths, meta["class_name"])
    with torch.no_grad():
        features = detector.encode(samples)
        adapted = detector.adapt(features)
        conditioning = detector.condition(adapted)
        prediction = detector.score(features)
        assert conditioning is not None and features.prepass is not None
        stages = dict(detector.stages(features))
        scores = stages[detector.recipe.of_kind("scorer")[0].spec.name]
        mine: dict[str, Tensor] = {
            "dynamic_visual_prompts": refiner.prompts.dynamic(features.prepass),
            "dynamic_text_prompts": conditioner.prompts.dynamic(features.prepass),
        }
        if meta["use_hsf"]:
            clustered, labels = detector.part("scorer").cluster(adapted, mean_logits(scores))
            mine |= {"clustered_feature": clustered, "kmeans_labels": labels}
    raw = [torch.cat([entry.class_token[:, None], entry.tokens], 1) for entry in features.token_sets]
    projected = [F.normalize(entry.tokens, dim=-1) for entry in adapted.token_sets]
    learner = detector.part("prompt_learner")
    ids = [learner.text.tokenize(sentences) for sentences in learner.sentences(meta["class_name"])]
    templates = len(learner.words.templates)
    # The official order is state by state, zsad's template by template.
    normal, abnormal = (i.view(templates, -1, i.shape[-1]).transpose(0, 1).flatten(0, 1) for i in ids)
    final, before = prediction.anomaly_map, stages["standard.fuse"].map
    assert before is not None
    mine |= {
        "cls_features": features.image_feature,
        "cls_projected": F.normalize(adapted.image_feature, dim=-1),
        "patch_tokens_raw_sub": torch.stack([tokens[:, ::16] for tokens in raw], 1),
        "patch_features_sub": torch.stack([tokens[:, ::8] for tokens in projected], 1),
        "text_features": conditioning.text_features.transpose(1, 2),
        "prompt_token_ids_normal": normal,
        "prompt_token_ids_abnormal": abnormal,
        "patch_logits": torch.stack([s.values.flatten(2).transpose(1, 2) for s in scores.sets], 1),
        "pixel_map_raw_sub": before[:, ::2, ::2],
        "pixel_map_sub": final[:, ::2, ::2],
        "pixel_map_max": final.amax((1, 2)),
        "pixel_map_mean": final.mean((1, 2)),
        "image_score": prediction.score,
    }
    return mine | preprocessed(detector.tensor(samples))


@pytest.mark.goldens("AdaCLIP")
def test_every_array_agrees(kit: Kit, golden: Golden, tmp_path: Path) -> None:
    assert_agrees(golden, computed(load(kit, golden, tmp_path), kit, golden), wider=LAST_DIGITS)


@pytest.mark.goldens("AdaCLIP")
def test_from_the_golden_dynamic_prompts_on_no_array_needs_a_wider_mark(
    kit: Kit, golden: Golden, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = load(kit, golden, tmp_path)
    for part, name in (("attention_refiner", "visual"), ("prompt_conditioner", "text")):
        given = torch.from_numpy(golden.arrays[f"dynamic_{name}_prompts"]).to(DEVICE)
        monkeypatch.setattr(detector.part(part).prompts, "dynamic", lambda feature, given=given: given)
    assert_agrees(golden, computed(detector, kit, golden))


@pytest.mark.goldens("AdaCLIP")
def test_generated_checkpoint_is_the_one_the_golden_was_computed_with(kit: Kit, golden: Golden) -> None:
    state = torch.load(checkpoint(kit, golden), weights_only=True)
    generated = synthetic.adaclip_parameters(kit.clip_state(golden), golden.meta["seed"], golden.meta)
    assert generated.keys() == state.keys()
    for key, value in generated.items():
        np.testing.assert_array_equal(value, state[key].numpy())
    # Kits with a checkpoint of their own need no digest of it.
    if "ADACLIP" in kit.manifest["weights"]:
        assert synthetic.digest(generated) == kit.manifest["weights"]["ADACLIP"]
