"""APRIL-GAN with references: what they add to the text's map, and the score over a class."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.spatial.distance import cdist

from tests.loading import load_detector
from zsad.backbones.clip import ClipBackbone
from zsad.backbones.loading import load_backbone
from zsad.detect.detector import Detector
from zsad.errors import InputError

SIZE = 48


def pictures(seed: int, count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (40, 50, 3), dtype=np.uint8) for _ in range(count)]


def load(method: str, backbone: ClipBackbone, *overrides: str) -> Detector:
    return load_detector(method, backbone=backbone, image_size=SIZE, untrained=True, overrides=overrides)


def test_the_map_gains_the_distances_of_raw_tokens(tiny_backbone: ClipBackbone) -> None:
    few, zero, raw = (
        load("aprilgan@few-shot", tiny_backbone),
        load("aprilgan", tiny_backbone),
        load("nearest-neighbour", tiny_backbone),
    )
    kept = few.remember(pictures(0, 2))
    queries = pictures(1, 3)
    known, asked = raw.encode(pictures(0, 2)), raw.encode(queries)
    expected = zero.predict(queries).anomaly_map.double()
    for old, new in zip(known.token_sets, asked.token_sets, strict=True):
        keys = old.tokens.flatten(0, 1).double().numpy()
        rows = np.stack([cdist(own, keys, "cosine").min(1) for own in new.tokens.double().numpy()])
        maps = torch.from_numpy(rows).reshape(3, 1, new.grid.height, new.grid.width)
        expected += F.interpolate(maps, (SIZE, SIZE), mode="bilinear", align_corners=True)[:, 0]
    found = few.predict(queries)
    assert torch.allclose(found.anomaly_map.double(), expected, atol=1e-4)
    assert len(kept.buffers) == 4, "what is projected is not remembered"

    highest = expected.flatten(1).amax(1)
    scaled = (highest - highest.min()) / (highest.max() - highest.min())
    assert torch.allclose(
        found.score.double(), (zero.predict(queries).score.double() + scaled) / 2, atol=1e-3
    )


def test_the_published_score_is_transductive_and_needs_several_images(tiny_backbone: ClipBackbone) -> None:
    detector = load("aprilgan@few-shot", tiny_backbone)
    assert detector.recipe.setting(trained=True) == "auxiliary-trained / transductive / few-shot-normal"
    detector.remember(pictures(0, 2))
    with pytest.raises(InputError, match="one image has no range; give several, or use --set"):
        detector.predict(pictures(1, 1))
    alone = load("aprilgan@few-shot", tiny_backbone, "post_processors-=aprilgan.class_range")
    assert "inductive" in alone.setting
    alone.remember(pictures(0, 2))
    zero = load("aprilgan", tiny_backbone).predict(pictures(1, 1))
    assert torch.allclose(alone.predict(pictures(1, 1)).score, zero.score)
    same = detector.predict(pictures(0, 1) * 3)
    zero = load("aprilgan", tiny_backbone).predict(pictures(0, 1) * 3)
    assert torch.allclose(same.score, zero.score / 2, atol=1e-6)


def test_the_weights_that_ship_are_those_of_the_zero_shot_method() -> None:
    mini = load_backbone("mini", "cpu", "float32")
    few, zero = (
        load_detector(name, backbone=mini, image_size=64) for name in ("aprilgan@few-shot", "aprilgan")
    )
    before, after = zero.parts.state_dict(), few.parts.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[key], after[key]) for key in before)
