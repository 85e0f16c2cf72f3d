"""What the shipped backbone has learned, on drawn images of families that no training has seen.

The marks lie below the figures of the model card: they tell a broken file from a working one on fewer images.
"""

from __future__ import annotations

import pytest

from tools.train_mini.figures import OF_SCRATCHES_AND_STAINS, SEED
from tools.train_mini.measure import detection, drawn_examples, naming, words_choose
from zsad.backbones.loading import load_backbone
from zsad_plugins.drawn.procedural import HELD_OUT_FAMILIES

COUNT = 60


@pytest.fixture(scope="module")
def mini():
    return load_backbone("mini", "cpu", "float32")


@pytest.fixture(scope="module")
def control():
    return load_backbone("mini-random", "cpu", "float32")


@pytest.fixture(scope="module")
def held_out():
    return drawn_examples(COUNT, SEED, families=HELD_OUT_FAMILIES)


@pytest.mark.parametrize("method", ["clip-baseline", "anomalyclip"])
def test_defects_on_unseen_objects_are_found(mini, control, held_out, method):
    found = detection(mini, method, held_out)
    assert found["pixel_auroc"] >= 0.9
    assert detection(control, method, held_out, untrained=True)["pixel_auroc"] < found["pixel_auroc"] - 0.15


def test_defects_on_unseen_objects_are_named(mini, control, held_out):
    found = naming(mini, held_out)
    assert found["region_accuracy"] >= 3 * found["region_chance"]
    assert naming(control, held_out)["region_accuracy"] < 2 * found["region_chance"]


@pytest.mark.parametrize("families", [HELD_OUT_FAMILIES, OF_SCRATCHES_AND_STAINS])
def test_a_map_follows_its_words(mini, control, families):
    found = words_choose(mini, COUNT // 2, SEED, families)
    assert found["on_named"] >= 0.75
    assert found["peak_inside"] >= 3 * found["peak_inside_other"]
    assert words_choose(control, COUNT // 2, SEED, families)["on_named"] < 0.65
