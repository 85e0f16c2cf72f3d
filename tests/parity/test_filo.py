"""FiLo against its official code: the network from an official checkpoint, and the rules for boxes.

The detector was not run for the golden files; they say what it found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from open_clip.tokenizer import SimpleTokenizer

from tests.parity import synthetic
from tests.parity.goldens import Golden, Kit, assert_agrees
from tests.parity.preprocessed import preprocessed
from zsad.backbones.tensors import read_tensors
from zsad.detect.detector import Detector
from zsad.detect.text_side import encode_prompts
from zsad.plugin.host import get_host
from zsad.values import ABNORMAL, Features
from zsad.weights.card import read_card
from zsad.weights.checkpoints import convert_checkpoint
from zsad.weights.loading import save_weights
from zsad_plugins.filo.boxes import BoxRules, Detections, padded
from zsad_plugins.filo.convert import convert
from zsad_plugins.filo.options import STATES, DetectorOptions
from zsad_plugins.filo.places import ACCEPTED, BOX, cell, centre, inside
from zsad_plugins.filo.words import read_states

pytestmark = pytest.mark.parity

INPUTS = ("boxes_in", "box_phrases", "n_boxes")


@pytest.mark.goldens("FiLo")
def test_every_array_agrees(kit: Kit, golden: Golden, tmp_path: Path) -> None:
    tables = box_tables(golden, class_phrases(golden))
    mine = box_arrays(golden, tables)
    if "full_weight_mask" in golden.arrays:
        mine |= weight_arrays(golden, tables)
    else:
        mine |= network_arrays(kit, golden, tables, tmp_path)
    inputs = [name for name in INPUTS if name in golden.arrays]
    assert_agrees(golden, mine, inputs=inputs)


def box_tables(golden: Golden, phrases: Sequence[str]) -> list[torch.Tensor]:
    """Apply the rules to the boxes that the golden file names."""
    meta = golden.meta
    rules = BoxRules(DetectorOptions(threshold=meta["box_threshold"], largest=meta["area_threshold"]))
    words = (*meta.get("general_words", read_states(STATES).anomaly_words), *phrases)
    tables = []
    for boxes, names in zip(golden.arrays["boxes_in"], golden.arrays["box_phrases"], strict=True):
        used = ~np.isnan(boxes[:, 4])
        found = torch.from_numpy(boxes[used])
        detections = Detections(found[:, :4], found[:, 4], tuple(map(str, names[used])))
        tables.append(rules.table(detections, words, (meta["image_size"],) * 2))
    return tables


def rows_below(tables: list[torch.Tensor]) -> torch.Tensor:
    """Return the tables as a side input; rows of zeros stand for no box, in whatever number."""
    return padded(tables, 2 + max(map(len, tables)))


def box_arrays(golden: Golden, tables: list[torch.Tensor]) -> dict[str, Any]:
    size, shape = golden.meta["image_size"], golden.arrays["boxes_kept"].shape
    names = golden.meta.get("positions_list", read_states(STATES).positions)
    points = [centre(table, "cut") or (size / 2, size / 2) for table in tables]
    cells = [cell(point, (size, size), "integer") for point in points]
    kept, accepted = np.full(shape, -1.0, np.float32), np.zeros(shape[:2], bool)
    for row, table in enumerate(tables):
        kept[row, : len(table)] = table[:, BOX].numpy()
        accepted[row, : len(table)] = table[:, ACCEPTED].numpy() > 0
    return {
        "boxes_kept": kept,
        "box_accepted": accepted,
        "center": np.array(points, np.float32),
        "position": np.array(["" if place is None else names[place] for place in cells]),
    }


def weight_arrays(golden: Golden, tables: list[torch.Tensor]) -> dict[str, Any]:
    size = golden.meta["image_size"]
    masks = torch.stack([inside(table, (size, size), "wrapped") for table in rows_below(tables)]).numpy()
    return {
        "n_kept": np.array([len(table) for table in tables]),
        "full_weight_mask": np.packbits(masks, axis=2),
        "full_weight_pixels": masks.sum((1, 2)),
    }


def class_phrases(golden: Golden) -> list[str]:
    """Return the phrases of the class, which the golden file gives as prompts."""
    if "class_phrases" in golden.meta:
        return list(golden.meta["class_phrases"])
    ids, meta = golden.arrays["prompt_token_ids_abnormal"], golden.meta
    states = read_states(STATES)
    name = meta["class_name"].replace("_", " ")
    head = f"abnormal {name} with "
    texts = [words_of(row, meta["n_ctx"]) for row in ids[:: len(states.positions)]]
    described = texts[: len(texts) - len(states.abnormal)]
    return [
        text.removeprefix(head).removesuffix(f"at {states.positions[0]} . ").strip() for text in described
    ]


def words_of(ids: np.ndarray, context: int) -> str:
    """Return a prompt's words behind its context."""
    row = [int(token) for token in ids[1 + context : int(ids.argmax())]]
    text: str = SimpleTokenizer().decode(row)
    return text


def load(kit: Kit, golden: Golden, phrases: Path, weights: Path) -> Detector:
    meta = golden.meta
    activation = "quick_gelu" if meta["quick_gelu"] else "gelu"
    convert_checkpoint(get_host(), "filo@dino", kit.checkpoint(golden), weights)
    if meta["quick_gelu"]:
        # At the native size the code takes OpenAI's loader, so that its CLIP is another one than at 518 px.
        card = read_card(weights)
        profile = {**card.profile, "activation": activation}
        card = card.model_copy(update={"profile": profile, "text_activation": activation})
        save_weights(weights, convert(read_tensors(kit.checkpoint(golden))), card)
    return kit.detector(
        golden,
        "filo@dino",
        weights=weights,
        overrides=[
            f"profile.activation={activation}",
            "auxiliary=filo.no_boxes",
            f"readout.taps={meta['features_list']}",
            f"attention_refiner.start={meta['first_dual_block_1based']}",
            f"prompt_learner.context_tokens={meta['n_ctx']}",
            f"prompt_learner.phrases={phrases}",
            f"scorer.temperature={1 / meta['logit_scale']}",
            f"post_processors.box_filter.outside={meta['outside_factor']}",
        ],
    )


def prepared(kit: Kit, golden: Golden, tables: list[torch.Tensor], folder: Path) -> tuple[Detector, Features]:
    """Return a detector that knows the class's phrases, and features with the boxes of the golden file."""
    meta, phrases = golden.meta, folder / "phrases.yaml"
    phrases.write_text(yaml.safe_dump({meta["class_name"]: class_phrases(golden)}), encoding="utf-8")
    detector = load(kit, golden, phrases, folder / "weights.safetensors")
    features = detector.encode(detector.samples(kit.image_paths, meta["class_name"]))
    return detector, replace(features, auxiliary={"filo.boxes": rows_below(tables)})


@torch.no_grad()
def network_arrays(kit: Kit, golden: Golden, tables: list[torch.Tensor], folder: Path) -> dict[str, Any]:
    meta = golden.meta
    detector, features = prepared(kit, golden, tables, folder)
    adapted = detector.adapt(features)
    conditioning = detector.condition(adapted)
    prediction = detector.score(features)
    stages = dict(detector.stages(features))
    assert detector.text_side is not None
    learner, conditioner = detector.part("prompt_learner"), detector.part("prompt_conditioner")
    prompts = learner(meta["class_name"])
    every = replace(prompts, embeddings=prompts.embeddings.expand(len(features), -1, -1, -1))
    _, raw = encode_prompts(detector.text_side.tower, conditioner.shifted(every, adapted))
    slots = "X " * meta["n_ctx"]
    ids = [
        learner.text.tokenize([slots + text for text in texts])
        for texts in learner.sentences(meta["class_name"])
    ]
    shifts = conditioner.shifts(adapted)
    image = torch.nn.functional.normalize(adapted.image_feature, dim=-1)
    mean = stages["filo.blur"].map
    assert mean is not None
    tokens = [torch.cat([s.class_token[:, None], s.tokens], 1) for s in features.token_sets]
    heads = torch.stack([entry.values[:, ABNORMAL] for entry in stages["standard.softmax"].sets], 1)
    mine = {
        "cls_features": features.image_feature,
        "image_features": image,
        "patch_tokens_sub": torch.stack([t[:, ::16] for t in tokens], 1),
        "head_features_sub": torch.stack([entry.tokens[:, ::8] for entry in adapted.token_sets], 1),
        "ctx_shift_normal": shifts[:, 0],
        "ctx_shift_abnormal": shifts[:, 1],
        "prompt_token_ids_normal": ids[0],
        "prompt_token_ids_abnormal": ids[1],
        "text_raw_normal": raw[:, : len(ids[0])],
        "text_raw_abnormal_sub": raw[:, len(ids[0]) :, ::4],
        "text_features": conditioning.text_features,
        "patch_logits": torch.stack([entry.values for entry in stages["filo.dot"].sets], 1),
        "head_maps_sub": heads[:, :, ::4, ::4],
        "mean_map_sub": mean[:, ::2, ::2],
        "mean_map_max": mean.amax((1, 2)),
        "mean_map_mean": mean.mean((1, 2)),
        "pixel_map_sub": prediction.anomaly_map[:, ::2, ::2],
        "pixel_map_mean": prediction.anomaly_map.mean((1, 2)),
        "text_scores": torch.linalg.vecdot(image[:, None], conditioning.text_features),
        "image_score": prediction.score,
    }
    return mine | preprocessed(detector.tensor(detector.samples(kit.image_paths)))


@pytest.mark.goldens("FiLo")
def test_an_image_does_not_depend_on_its_neighbours(kit: Kit, golden: Golden, tmp_path: Path) -> None:
    """Some images have a position and others none, so both ways of choosing prompts are taken."""
    if "checkpoint" not in golden.meta:
        return
    detector, features = prepared(
        kit, golden, box_tables(golden, class_phrases(golden)), tmp_path
    )  # fmt: skip
    together = detector.score(features)
    for place in range(len(features)):
        alone = detector.score(features.select([place]))
        torch.testing.assert_close(alone.anomaly_map[0], together.anomaly_map[place], rtol=0, atol=1e-5)
        torch.testing.assert_close(alone.score[0], together.score[place], rtol=0, atol=1e-5)


@pytest.mark.goldens("FiLo")
def test_generated_checkpoint_is_the_one_the_golden_was_computed_with(kit: Kit, golden: Golden) -> None:
    if "checkpoint" not in golden.meta:
        return
    (state,) = torch.load(kit.checkpoint(golden), weights_only=True).values()
    generated = synthetic.filo_checkpoint(kit.clip_state(golden), golden.meta["seed"], golden.meta)["filo"]
    assert generated.keys() == state.keys()
    for key, value in generated.items():
        np.testing.assert_array_equal(value, state[key].numpy())
    # Kits with a checkpoint of their own need no digest of it.
    if "FILO" in kit.manifest["weights"]:
        assert synthetic.digest(generated) == kit.manifest["weights"]["FILO"]
