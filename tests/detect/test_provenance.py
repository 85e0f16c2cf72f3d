from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.loading import load_detector
from zsad.detect.provenance import NO_THRESHOLD, about, decision


@pytest.mark.parametrize(
    ("score", "threshold", "word"),
    [(0.5, None, NO_THRESHOLD), (0.5, 0.5, "anomalous"), (0.4, 0.5, "normal"), (-2.0, -3.0, "anomalous")],
)
def test_a_threshold_decides_and_without_one_nothing_does(
    score: float, threshold: float | None, word: str
) -> None:
    assert decision(score, threshold) == word


def test_what_stands_behind_the_numbers_is_plain_data() -> None:
    detector = load_detector("anomalyclip", backbone="mini", device="cpu", dtype="float32")
    found = about(detector)
    assert json.loads(json.dumps(found)) == found
    assert (found["method"], found["recipe_hash"]) == ("anomalyclip", detector.recipe.hash)
    assert found["image_size"] == detector.recipe.image_size
    assert found["backbone"]["name"] == detector.backbone.card.name
    assert {part: card["trained_on"] for part, card in found["weights"].items()} == {
        part: card.trained_on_words() for part, card in detector.cards.items()
    }
    assert found["weights"]


def test_it_needs_no_torch() -> None:
    code = "import sys, zsad.detect.provenance; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
