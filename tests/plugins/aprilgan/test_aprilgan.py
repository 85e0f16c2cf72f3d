"""APRIL-GAN's linear heads on small backbones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.loading import load_detector
from zsad.detect.detector import Detector
from zsad.errors import InputError
from zsad.values import Sample
from zsad_plugins.aprilgan.convert import convert
from zsad_plugins.standard.templates import read_words

Load = Callable[..., Detector]


@pytest.fixture
def load(untrained: Callable[[str], Load]) -> Load:
    return untrained("aprilgan")


def test_runs_on_mini() -> None:
    detector = load_detector("aprilgan", backbone="mini", device="cpu", untrained=True)
    rng = np.random.default_rng(1)
    prediction = detector.predict([rng.integers(0, 256, (64, 64, 3), np.uint8) for _ in range(2)], "gear")
    assert detector.recipe.blocks == (2, 4, 6, 8)
    assert prediction.anomaly_map.isfinite().all() and prediction.score.isfinite().all()
    assert (prediction.anomaly_map.flatten(1).std(1) > 0).all()


def test_an_image_does_not_depend_on_its_neighbours(load: Load, samples: list[Sample]) -> None:
    detector = load("profile=official")
    together = detector.predict(samples)
    for number, sample in enumerate(samples):
        alone = detector.predict([sample])
        torch.testing.assert_close(together.anomaly_map[number], alone.anomaly_map[0], atol=1e-5, rtol=0)
        torch.testing.assert_close(together.score[number], alone.score[0], atol=1e-5, rtol=0)


def test_each_tap_has_a_head_of_its_own_and_the_image_feature_none(load: Load, samples: list[Sample]) -> None:
    detector = load()
    features = detector.encode(samples)
    with torch.no_grad():
        adapted = detector.adapt(features)
        for head, before, after in zip(
            detector.part("feature_adapter").heads, features.token_sets, adapted.token_sets, strict=True
        ):
            torch.testing.assert_close(after.tokens, F.linear(before.tokens, head.weight, head.bias))
            assert before.space == "raw" and after.space == "joint" and after.class_token is None
    assert adapted.image_feature is features.image_feature
    prediction = detector.score(features)
    words = "prompt_learner.words=zsad_prompts:aprilgan.yaml"
    plain = load(
        words, "prompt_learner.normalize_each=true", "scorer.temperature=0.01", method="clip-baseline"
    )
    torch.testing.assert_close(prediction.score, plain.predict(samples).score)
    assert prediction.anomaly_map.amax() <= 4 and prediction.anomaly_map.mean() > 1  # a sum over four taps


def test_the_activation_follows_the_image_size(load: Load) -> None:
    at_518, at_336 = load("profile=official"), load("profile=official", method="aprilgan@336")
    assert at_518.recipe.profile.activation == "gelu" and at_336.recipe.profile.activation == "quick_gelu"
    for detector in (at_518, at_336):
        text = detector.recipe.text_profile
        assert text is not None and text.activation == detector.recipe.profile.activation
        assert detector.recipe.profile.position_embedding == "bicubic_antialias"


def test_words_shared_with_other_methods_are_the_same() -> None:
    own, winclip, adaclip = (read_words(f"zsad_prompts:{n}.yaml") for n in ("aprilgan", "winclip", "adaclip"))
    assert own.normal == winclip.normal and (len(own.abnormal), len(own.templates)) == (5, 35)
    assert set(winclip.abnormal) == set(own.abnormal) - {"broken {}"}
    assert (adaclip.normal, adaclip.abnormal) == (own.normal, own.abnormal)
    assert adaclip.templates == own.templates[:4]


def test_a_refiner_with_another_number_of_token_sets_is_refused(load: Load, samples: list[Sample]) -> None:
    detector = load()
    features = detector.encode(samples)
    with pytest.raises(InputError, match="4 linear heads, one per tap, but the attention refiner reads 1"):
        detector.part("feature_adapter")(type(features)(
            features.token_sets[:1], features.image_feature, features.class_names, features.input_size
        ))  # fmt: skip


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("feature_adapter=none", r"'standard.cosine'.*'tokens:joint'.*\(feature_adapter\) would"),
        ("readout.stage=joint", "'aprilgan.linear_heads'.*'tokens:raw'"),
        ("feature_adapter.taps=4", "'taps' is not known"),
        ("attention_refiner=winclip.windows", "'aprilgan.linear_heads'.*'tokens:raw'"),
    ],
)
def test_wrong_choices_are_refused(load: Load, override: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        load(override)


def checkpoint(**changes: Any) -> dict[str, Any]:
    """A checkpoint in the authors' form, of two taps."""
    state = {f"fc.{n}.weight": torch.full((6, 8), float(n)) for n in range(2)}
    state |= {f"fc.{n}.bias": torch.zeros(6) for n in range(2)}
    state |= {key.replace("_", "."): value for key, value in changes.items()}
    return {"trainable_linearlayer": {key: value for key, value in state.items() if value is not None}}


def test_conversion_renames() -> None:
    found = convert(checkpoint())
    assert sorted(found) == [
        f"feature_adapter.heads.{n}.{leaf}" for n in (0, 1) for leaf in ("bias", "weight")
    ]
    assert found["feature_adapter.heads.1.weight"][0, 0] == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([], "no entry 'trainable_linearlayer'"),
        ({"prompt_learner": {}}, "no entry 'trainable_linearlayer'"),
        ({"trainable_linearlayer": {}}, "lacks 'fc.0.weight'"),
        (checkpoint(fc_1_bias=None, extra=torch.ones(1)), "lacks 'fc.1.bias'"),
        (checkpoint(fc_0_bias=torch.zeros(5)), r"'fc.0.bias' has the shape \(5,\) instead of \(6\)"),
        (checkpoint(fc_0_weight=torch.zeros(5)), r"\(5,\) instead of \(outputs, inputs\)"),
        (checkpoint(extra=torch.ones(1)), "it has 'extra', which APRIL-GAN's checkpoints have not"),
        ({"trainable_linearlayer": {"fc.0.weight": [1.0], "fc.0.bias": 0}}, "'fc.0.weight' is no tensor"),
    ],
)
def test_conversion_says_what_does_not_fit(content: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        convert(content)
