"""AA-CLIP against its official code, from checkpoints in the official format; scores and training steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.parity.goldens import Golden, Kit, assert_agrees
from tests.parity.preprocessed import preprocessed
from tests.parity.steps import Taken, assert_step_agrees, take_step
from zsad.detect.detector import Detector
from zsad.plugin.host import get_host
from zsad.weights.checkpoints import convert_checkpoint
from zsad_plugins.aa_clip.losses import maps
from zsad_plugins.aa_clip.options import MapLossOptions

pytestmark = pytest.mark.parity

DESCRIPTIONS = {"hazelnut": "single brown hazelnut", "Brain": "scan"}
"""What the official code says of a class instead of its name."""

METHODS = {"Industrial": "aa-clip@class-range", "Medical": "aa-clip@medical"}


def load(kit: Kit, golden: Golden, folder: Path, method: str, overrides: Sequence[str] = ()) -> Detector:
    meta = golden.meta
    weights = folder / "weights.safetensors"
    convert_checkpoint(get_host(), method, kit.checkpoint_files(golden), weights)
    return kit.detector(
        golden,
        method,
        weights=weights,
        overrides=[
            f"readout.taps={meta['features_list']}",
            f"attention_refiner.blocks={meta['image_adapt_until']}",
            f"attention_refiner.weight={meta['image_adapt_weight']}",
            f"prompt_learner.blocks={meta['text_adapt_until']}",
            f"prompt_learner.weight={meta['text_adapt_weight']}",
            f"post_processors.grid_blur.size={meta['blur_kernel'][0]}",
            f"post_processors.grid_blur.sigma={meta['blur_sigma'][0]}",
            *overrides,
        ],
    )


@pytest.mark.goldens("AA-CLIP", arrays="image_score")
def test_every_array_agrees(kit: Kit, golden: Golden, tmp_path: Path) -> None:
    meta = golden.meta
    detector = load(kit, golden, tmp_path, METHODS[meta["domain"]])
    noun = DESCRIPTIONS.get(meta["class_name"], meta["class_name"])
    samples = detector.samples(kit.image_paths, noun)
    with torch.no_grad():
        # Of one class: the last stage looks at all of them.
        raw = detector.tower(
            detector.tensor(samples),
            [replace(detector.reading.request, tokens=raw_requests(detector))],
            injection=detector.part("attention_refiner").inject(None),
        )
        features = detector.encode(samples)
        adapted = detector.adapt(features)
        conditioning = detector.condition(adapted)
        prediction = detector.score(features)
        stages = dict(detector.stages(features))
    assert conditioning.raw is not None
    learner = detector.part("prompt_learner").templates
    sentences = learner.sentences(noun)
    templates = len(learner.words.templates)
    ids = [official_order(learner.text.tokenize(one)[:, :32], templates) for one in sentences]
    count = len(sentences[0])
    prompts = conditioning.raw[0]
    before, own = stages["standard.fuse"].map, stages["aa-clip.dot"].image_score
    assert before is not None and own is not None
    mine = {
        "prompt_token_ids_normal": ids[0],
        "prompt_token_ids_abnormal": ids[1],
        "prompt_features_normal": official_order(prompts[:count], templates),
        "prompt_features_abnormal": official_order(prompts[count:], templates),
        "text_features": conditioning.text_features[0].T,
        "tap_tokens_sub": torch.stack([entry.tokens[:, ::16, ::2] for entry in raw[0].token_sets], 1),
        "seg_features_sub": torch.stack([entry.tokens[:, ::12, ::2] for entry in adapted.token_sets], 1),
        "det_feature": adapted.image_feature,
        "grid_scores": torch.cat([entry.values for entry in stages["aa-clip.difference"].sets], 1),
        "grid_scores_blurred": torch.cat([entry.values for entry in stages["aa-clip.grid_blur"].sets], 1),
        "pixel_map_sub": before[:, ::2, ::2],
        "pixel_map_max": before.amax((1, 2)),
        "pixel_map_mean": before.mean((1, 2)),
        "image_score_raw": own,
        "pixel_map_minmax_sub": prediction.anomaly_map[:, ::4, ::4],
        "image_score": prediction.score,
    }
    assert_agrees(golden, mine | preprocessed(detector.tensor(samples)))


def raw_requests(detector: Detector) -> tuple:  # type: ignore[type-arg]
    return tuple(replace(token, stage="raw") for token in detector.reading.request.tokens)


def official_order(rows: Tensor, templates: int) -> Tensor:
    """The official order is state by state, zsad's template by template."""
    return rows.unflatten(0, (templates, -1)).transpose(0, 1).flatten(0, 1)


def tap_losses(taken: Taken, taps: Sequence[int]) -> dict[str, float]:
    found = {}
    for tap, entry in zip(taps, taken.step.scores.sets, strict=True):
        step = replace(taken.step, scores=replace(taken.step.scores, sets=(entry,)))
        found[f"loss_seg_tap{tap}"] = float(maps(step, MapLossOptions()).mean().detach())
    return found


def official_name(name: str, blocks: int) -> str:
    """Return what the authors' code calls a parameter."""
    part, _, rest = name.partition(".")
    if part == "prompt_learner":
        number = str(blocks) if rest.startswith("projection") else rest.split(".")[1]
        return f"{number}.fc.0.weight"
    if part == "attention_refiner":
        return f"layer_adapters.{rest.split('.')[1]}.fc.0.weight"
    return rest.replace("seg.", "seg_proj.").replace("det.", "det_proj.").replace("weight", "fc.weight")


@pytest.mark.goldens("AA-CLIP stage 1", arrays="loss_total")
def test_a_step_of_the_first_stage_agrees(kit: Kit, golden: Golden, tmp_path: Path) -> None:
    golden = kit.with_options(golden)
    taps = golden.meta["features_list"]
    published = [
        "training.parts.attention_refiner.options.attention=vv_over_batch",
        "training.losses.aa-clip-maps.options.taps=last",
    ]
    detector = load(kit, golden, tmp_path, "aa-clip", published)
    taken = take_step(detector, kit, golden, class_names=golden.meta["class_words"])
    losses = {
        **tap_losses(taken, taps),
        "orthogonal": taken.losses["aa-clip-orthogonal"] / 0.1,
        "loss_total": sum(taken.losses.values()),
    }
    blocks = golden.meta["text_adapt_until"]
    gradients = {official_name(name, blocks): gradient for name, gradient in taken.gradients.items()}
    assert_step_agrees(golden, losses, gradients)


@pytest.mark.goldens("AA-CLIP stage 2", arrays="loss_total")
def test_a_step_of_the_second_stage_agrees(kit: Kit, golden: Golden, tmp_path: Path) -> None:
    golden = kit.with_options(golden)
    detector = load(kit, golden, tmp_path, "aa-clip")
    taken = take_step(detector, kit, golden, stage=1, class_names=golden.meta["class_words"])
    losses = {
        **tap_losses(taken, golden.meta["features_list"]),
        "loss_cross_entropy": taken.losses["aa-clip-image"],
        "loss_total": sum(taken.losses.values()),
    }
    gradients = {official_name(name, 0): gradient for name, gradient in taken.gradients.items()}
    assert_step_agrees(golden, losses, gradients)


@pytest.mark.goldens("AA-CLIP stage 1", arrays="surgery_tokens_sub")
def test_attention_over_the_batch_agrees(kit: Kit, golden: Golden, tmp_path: Path) -> None:
    golden = kit.with_options(golden)
    published = ["attention_refiner.attention=vv_over_batch"]
    detector = load(kit, golden, tmp_path, "aa-clip", published)
    assert detector.recipe.batch_dependent
    samples = detector.samples(kit.image_paths[:3])
    with torch.no_grad():
        (output,) = detector.tower(
            detector.tensor(samples),
            [replace(detector.reading.request, tokens=raw_requests(detector))],
            injection=detector.part("attention_refiner").inject(detector.encode(samples)),
        )
    tokens = []
    for entry in output.token_sets:
        assert entry.class_token is not None
        tokens.append(torch.cat([entry.class_token[:, None], entry.tokens], 1)[:, ::16, ::4])
    mine = {"surgery_tokens_sub": torch.stack(tokens, 1)}
    assert_agrees(golden, mine, inputs=set(golden.arrays) - set(mine))
