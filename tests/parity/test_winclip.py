"""``winclip@caoyunkang`` against the third-party code that it is named after."""

from __future__ import annotations

import pytest
import torch

from tests.parity.goldens import Golden, Kit, assert_agrees
from tests.parity.preprocessed import preprocessed
from zsad.values import NORMAL
from zsad_plugins.winclip.scorers import window_probability

pytestmark = pytest.mark.parity


@pytest.mark.goldens("WinCLIP")
def test_every_array_agrees(kit: Kit, golden: Golden) -> None:
    meta = golden.meta
    temperature = 1 / meta["logit_scale"]
    detector = kit.detector(
        golden,
        "winclip@caoyunkang",
        overrides=[
            f"attention_refiner.sizes={meta['scales']}",
            f"scorer.temperature={temperature}",
        ],
    )
    samples = detector.samples(kit.image_paths, meta["class_name"])
    with torch.no_grad():
        features = detector.encode(samples)
        conditioning = detector.condition(features)
        prediction = detector.score(features)
        scorer = detector.part("scorer")
        grid = scorer(features, conditioning).sets[0].values[:, 0]
        textual = scorer.textual_map(features, conditioning).view_as(grid)
        text = conditioning.text_features
        windows = torch.cat([entry.tokens for entry in features.token_sets], 1)
        normal = [window_probability(entry, text, temperature, NORMAL) for entry in features.token_sets]
    learner = detector.part("prompt_learner")
    sentences = learner.sentences(meta["class_name"])
    final = prediction.anomaly_map
    mine = {
        "text_features": text[0],
        "prompt_token_ids_normal": learner.text.tokenize(sentences[0]),
        "prompt_token_ids_abnormal": learner.text.tokenize(sentences[1]),
        "window_features_sub": torch.nn.functional.normalize(windows, dim=-1)[:, ::8],
        "window_prob_normal": torch.cat(normal, 1),
        "textual_map": textual,
        "fused_map_grid": grid,
        "pixel_map_sub": final[:, ::2, ::2],
        "pixel_map_final_sub": final[:, ::2, ::2],
        "pixel_map_max": final.amax((1, 2)),
        "pixel_map_mean": final.mean((1, 2)),
        "image_score": prediction.score,
    }
    assert_agrees(golden, mine | preprocessed(detector.tensor(samples)))
