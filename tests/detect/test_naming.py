"""Phrases for parts of images: CLIP's nearest, or none where nothing is ahead or nothing reads text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.loading import load_detector
from zsad.backbones.clip import ClipBackbone
from zsad.backbones.loading import load_backbone
from zsad.data.phrases import read_phrases
from zsad.detect.explaining import Explainer
from zsad.detect.naming import NAMED_FROM, TEMPERATURE, Namer, crop_box, namer
from zsad.detect.predictions import ImageResult
from zsad.detect.verdicts import Level
from zsad.plugin.host import get_host


def picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (80, 100, 3), dtype=np.uint8)


def test_the_phrases_are_those_of_the_object(tiny_backbone: ClipBackbone) -> None:
    assert Namer(tiny_backbone, "metal nut").phrases == read_phrases().of("metal nut")
    assert Namer(tiny_backbone, "zebra").phrases == read_phrases().generic


def test_a_name_is_what_a_plain_pass_of_both_towers_says(tiny_backbone: ClipBackbone) -> None:
    """Against a pass of a detector without prompts of its own, and sentences that are encoded one by one."""
    found, image, box = Namer(tiny_backbone, "zebra"), picture(), (10, 20, 40, 50)
    left, top, right, bottom = crop_box(box, *image.shape[:2])
    size = tiny_backbone.vision_tower().native_image_size
    plain = load_detector("clip-baseline", backbone=tiny_backbone, image_size=size)
    feature = plain.encode([image[top:bottom, left:right]]).image_feature[0]
    cosines = []
    for phrase in read_phrases().generic:
        words = [
            f"prompt_learner.{state}_prompts=[a photo of a zebra with {phrase}.]"
            for state in ("normal", "abnormal")
        ]
        asked = load_detector("clip-baseline", backbone=tiny_backbone, overrides=words)
        text = asked.condition(asked.encode([image])).text_features[0, 0]
        cosines.append(float(torch.nn.functional.cosine_similarity(feature, text, dim=0)))
    (name,) = found.names(image, [box])
    assert name.similarity == pytest.approx(max(cosines), abs=1e-5)
    ahead = sorted(cosines)[-1] - sorted(cosines)[-2]
    assert name.odds <= np.exp(ahead / TEMPERATURE) * 1.01  # the flawless object may come second
    assert (name.phrase is None) == (name.odds < NAMED_FROM)


def test_a_phrase_that_is_clearly_ahead_names_and_a_close_one_does_not(tiny_backbone: ClipBackbone) -> None:
    found = Namer(tiny_backbone, "zebra")
    flat = torch.full((1 + len(found.phrases),), 0.2)

    def name(**raised: float):
        cosines = flat.clone()
        for place, value in raised.items():
            cosines[int(place[1:])] = value
        return found._name(cosines)

    assert name(p3=0.25).phrase == found.phrases[2]
    assert name(p3=0.25).odds == pytest.approx(np.exp(5), rel=1e-4)
    assert name(p3=0.206).phrase is None  # e^0.6 = 1.8 times as likely
    assert name(p3=0.25, p5=0.249).phrase is None
    assert name(p3=0.25, p0=0.26).phrase is None  # most like a flawless one
    assert name(p3=0.25, p0=0.26).odds < 1


def test_a_backbone_without_text_gives_no_names() -> None:
    backbone = load_backbone("timm:vit_tiny_patch16_224@random:0", "cpu", "float32", host=get_host())
    assert namer(backbone, "zebra") is None


def test_sentences_of_an_image_with_and_without_text(tiny_backbone: ClipBackbone) -> None:
    values = np.zeros((80, 100), np.float32)
    values[10:14, 20:30], values[50:60, 70:80], values[70, 3], values[2, 2] = 0.9, 0.8, 0.7, 0.6
    result = ImageResult(Path("part.png"), "1:a", 0.5, values, picture())
    with_text = Explainer(None, Level(0.5), namer(tiny_backbone, "zebra")).explain(result)
    without = Explainer(None, Level(0.5), None).explain(result)
    assert [entry.name is not None for entry in with_text.regions] == [True, True, True, False]
    said = with_text.sentence.count("unnamed") + with_text.sentence.count("most like")
    assert said == 3
    phrases = read_phrases().of("zebra")
    assert "unnamed" not in without.sentence and not any(phrase in without.sentence for phrase in phrases)
    assert [entry.region for entry in without.regions] == [entry.region for entry in with_text.regions]


@pytest.mark.parametrize(
    ("box", "size", "wanted"),
    [
        ((40, 40, 60, 50), (100, 100), (35, 30, 65, 60)),  # one and a half times the longer side
        ((50, 50, 51, 51), (100, 200), (38, 38, 63, 63)),  # a quarter of the shorter side at least
        ((0, 0, 20, 20), (100, 100), (0, 0, 30, 30)),  # within the image
        ((90, 95, 100, 100), (100, 100), (75, 75, 100, 100)),
        ((0, 0, 100, 30), (30, 100), (0, 0, 100, 30)),  # no square fits
        ((0, 0, 1, 1), (1, 1), (0, 0, 1, 1)),
    ],
)
def test_a_crop_shows_the_surroundings(box, size, wanted) -> None:
    left, top, right, bottom = crop_box(box, *size)
    assert (left, top, right, bottom) == wanted
    assert left <= box[0] and top <= box[1] and right >= box[2] and bottom >= box[3]
