"""WinCLIP+ against loops over windows, patches and what is remembered."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.loading import load_detector
from zsad.backbones.clip import ClipBackbone
from zsad.detect.detector import Detector

SIZE = 48


def pictures(seed: int, count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (40, 50, 3), dtype=np.uint8) for _ in range(count)]


@pytest.fixture
def detector(tiny_backbone: ClipBackbone) -> Detector:
    return load_detector("winclip@few-shot", backbone=tiny_backbone, image_size=SIZE)


def half_distance(vector: torch.Tensor, keys: torch.Tensor) -> float:
    cosines = [float(torch.nn.functional.cosine_similarity(vector, key, dim=0)) for key in keys]
    return (1 - max(cosines)) / 2


def test_the_map_and_the_score_are_those_of_the_equations(
    detector: Detector, tiny_backbone: ClipBackbone
) -> None:
    assert detector.setting == "training-free / inductive / few-shot-normal"
    detector.remember(pictures(0, 2))
    queries = pictures(1, 2)
    (_, found), *_ = detector.stages(detector.encode(queries))
    text = load_detector("winclip", backbone=tiny_backbone, image_size=SIZE)
    (_, zero), *_ = text.stages(text.encode(queries))

    known, asked = detector.encode(pictures(0, 2)), detector.encode(queries)
    patches, *windows = asked.token_sets
    grid = patches.grid
    assert (patches.space, patches.block, [entry.name for entry in windows]) == (
        "ln_post", 4, ["windows.2", "windows.3"]
    )  # fmt: skip
    keys = {entry.name: entry.tokens.flatten(0, 1).double() for entry in known.token_sets}
    for image in range(2):
        parts = []
        own = [half_distance(vector, keys[patches.name]) for vector in patches.tokens[image].double()]
        parts.append(own)
        for entry in windows:
            values = [half_distance(vector, keys[entry.name]) for vector in entry.tokens[image].double()]
            covering = entry.windows.incidence.bool()
            parts.append(
                [
                    sum(covering[:, place].tolist())
                    / sum(
                        1 / value for value, covers in zip(values, covering[:, place], strict=True) if covers
                    )
                    for place in range(grid.count)
                ]
            )
        references = np.mean(parts, axis=0)
        text_map = zero.sets[0].values[image, 0].flatten().numpy()
        expected = (text_map + references) / 2
        assert np.allclose(found.sets[0].values[image, 0].flatten().numpy(), expected, atol=1e-5)
        score = (float(zero.required_image_score[image]) + references.max()) / 2
        assert float(found.required_image_score[image]) == pytest.approx(score, abs=1e-5)


def test_what_is_remembered_leaves_half_of_the_text_s_answer(
    detector: Detector, tiny_backbone: ClipBackbone
) -> None:
    images = pictures(0, 2)
    detector.remember(images)
    found = detector.predict(images)
    zero = load_detector("winclip", backbone=tiny_backbone, image_size=SIZE).predict(images)
    assert torch.allclose(found.anomaly_map, zero.anomaly_map / 2, atol=1e-5)
    assert torch.allclose(found.score, zero.score / 2, atol=1e-5)
