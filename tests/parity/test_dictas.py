"""DictAS against its official code, from a checkpoint in the official form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.parity.goldens import Golden, Kit, assert_agrees
from tests.parity.preprocessed import preprocessed
from tests.parity.remembering import order_of
from tests.parity.synthetic_adapters import dictas_parameters
from zsad.data.images import read_image
from zsad.detect.detector import Detector
from zsad.plugin.host import get_host
from zsad.weights.checkpoints import convert_checkpoint
from zsad_plugins.dictas.lookup import lookup_weights

pytestmark = pytest.mark.parity

SPARSE_MARK = 3e-4
"""Of the look-up's weights: which entries are above the simplex's threshold hangs on the last digits."""

UNSMOOTHED = 1e-3
"""Standard deviation in pixels that changes nothing: published code does not smooth on every dataset."""


def load(kit: Kit, golden: Golden, folder: Path) -> Detector:
    meta = golden.meta
    state = {
        key: torch.from_numpy(v) for key, v in dictas_parameters(kit.clip_state(golden), meta["seed"]).items()
    }
    torch.save({"Mymodel": state}, folder / "checkpoint.pth")
    weights = folder / "weights.safetensors"
    convert_checkpoint(get_host(), "dictas@class-range", folder / "checkpoint.pth", weights)
    smoothed = meta["best_segmentation"] or meta["dataset"] in ("mvtec", "mvtec3D")
    share = 0.2 if meta["dataset"] in ("mvtec", "visa") else 0.5
    return kit.detector(
        golden,
        "dictas@class-range",
        weights=weights,
        overrides=[
            "prompt_learner.words=zsad_prompts:dictas.yaml",
            f"readout.taps={meta['features_used']}",
            f"scorer.sides={meta['scale_list_used']}",
            f"post_processors.gaussian.sigma={meta['sigma_used'] if smoothed else UNSMOOTHED}",
            f"post_processors.class_range.text_share={share}",
        ],
    )


def sorted_rows(ids: Tensor) -> np.ndarray:
    rows = ids.int().cpu().numpy()
    return rows[np.lexsort(rows.T[::-1])]


@pytest.mark.goldens("DictAS")
def test_every_array_agrees(kit: Kit, golden: Golden, tmp_path: Path) -> None:
    meta, arrays = golden.meta, golden.arrays
    detector = load(kit, golden, tmp_path)
    references = [read_image(kit.root / "references" / name) for name in meta["reference_images"]]
    order = order_of(detector, references)
    (memory,) = detector.memories.values()
    samples, scorer = detector.samples(kit.image_paths, meta["class_name"]), detector.part("scorer")
    learner = detector.part("prompt_learner")
    assert detector.text_side is not None
    with torch.no_grad():
        features = detector.encode(samples)
        found = list(scorer.found(features, memory.buffers))
        weights = [lookup_weights(each.queries, each.keys, scorer.rule) for each in found]
        prediction, stages = detector.score(features), dict(detector.stages(features))
        text = detector.condition(features).text_features
        values = [scorer.values(entry) for entry in features.token_sets]
    raw, final = stages["standard.fuse"].required_map, prediction.anomaly_map
    # Published code counts the dictionary's entries in the order in which references are named.
    ordered = [w.unflatten(-1, (len(order), -1))[..., order, :].flatten(-2) for w in weights]
    normal, abnormal = (detector.text_side.tower.tokenize(s) for s in learner.sentences(meta["class_name"]))
    single = [each.retrieved for each in found if each.name.endswith(".r1")]
    mine = {
        "preproc_shape": np.array([[meta["image_size"]] * 2] * 3, np.int32),
        "cls_features": features.image_feature,
        "patch_tokens_raw_sub": torch.stack([e.tokens[:, ::16, ::2] for e in features.token_sets], 1),
        "query_values_sub": torch.stack([tokens[:, ::16, ::2] for tokens in values], 1),
        "retrieved_sub": torch.stack([tokens[:, ::16, ::2] for tokens in single], 1),
        "lookup_weights_sub": torch.stack([w[:, ::24] for w in ordered], 1),
        "lookup_support_size": torch.stack([(w > 0).sum(-1) for w in weights], 1).int(),
        "lookup_maps": torch.stack([entry.values[:, 0] for entry in stages["dictas.lookup"].sets], 1),
        "pixel_map_raw_sub": raw[:, ::2, ::2],
        "pixel_map_sub": final[:, ::2, ::2],
        "pixel_map_max": final.amax((1, 2)),
        "pixel_map_mean": final.mean((1, 2)),
        "text_features": text[0].mT,
        "text_scores": stages["dictas.lookup"].required_image_score,
        "image_score": prediction.score,
    }
    # The sentences come state by state there and template by template here; nothing but their means is used.
    for name, ids in (("prompt_token_ids_normal", normal), ("prompt_token_ids_abnormal", abnormal)):
        assert np.array_equal(sorted_rows(ids), sorted_rows(torch.from_numpy(arrays[name])))
        mine[name] = arrays[name]
    assert_agrees(
        golden,
        mine | preprocessed(detector.tensor(samples)),
        wider={"lookup_weights_sub": SPARSE_MARK},
    )
