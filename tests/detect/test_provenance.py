from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import pytest
from pydantic import ValidationError

from tests.loading import load_detector
from zsad.detect.provenance import NO_THRESHOLD, DetectorInfo, about, decision


@pytest.mark.parametrize(
    ("score", "threshold", "word"),
    [(0.5, None, NO_THRESHOLD), (0.5, 0.5, "anomalous"), (0.4, 0.5, "normal"), (-2.0, -3.0, "anomalous")],
)
def test_a_threshold_decides_and_without_one_nothing_does(
    score: float, threshold: float | None, word: str
) -> None:
    assert decision(score, threshold) == word


def test_what_stands_behind_the_numbers_becomes_plain_data() -> None:
    detector = load_detector("anomalyclip", backbone="mini", device="cpu", dtype="float32")
    found = about(detector)
    plain = found.plain()
    assert json.loads(json.dumps(plain)) == plain
    assert DetectorInfo.model_validate(plain) == found
    assert plain["recipe"] == detector.recipe.as_dict()
    profile = plain["recipe"]["profile"]
    assert (profile["image_resize"], profile["resize_order"]) == ("squash", "horizontal-first")
    assert detector.reading.form[-2:] == ("squash", "horizontal-first")
    assert detector.encode_key.profile.resize_order == "horizontal-first"
    assert (found.method, found.recipe_hash) == ("anomalyclip", detector.recipe.hash)
    assert (found.image_size, found.dtype) == (detector.recipe.image_size, "float32")
    assert (found.setting, found.fidelity) == (detector.setting, detector.recipe.fidelity)
    assert (found.backbone.name, found.backbone.sha256) == (
        detector.backbone.card.name,
        detector.backbone.sha256,
    )
    assert {part: known.trained_on for part, known in found.weights.parts.items()} == {
        part: card.trained_on_words() for part, card in detector.cards.items()
    }
    assert found.weights.parts and found.weights.origin == "own"
    with pytest.raises(ValidationError, match="frozen"):
        found.method = "other"


def test_the_hash_of_the_weights_is_that_of_their_values() -> None:
    detectors = [
        load_detector(
            "anomalyclip",
            backbone="mini",
            device="cpu",
            dtype="float32",
            untrained=True,
            weights={},
            seed=seed,
        )
        for seed in (0, 0, 1)
    ]
    same, again, other = (about(detector).weights.sha256 for detector in detectors)
    assert same == again != other
    plain = load_detector("clip-baseline", backbone="mini", device="cpu", dtype="float32")
    assert about(plain).weights.origin == "none"
    assert about(plain).weights.sha256 == hashlib.sha256().hexdigest()


def test_it_needs_no_torch() -> None:
    code = "import sys, zsad.detect.provenance; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
