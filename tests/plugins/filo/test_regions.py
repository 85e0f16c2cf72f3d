"""Boxes from the anomaly map itself, and the recipe that takes them where there is no detector."""

from __future__ import annotations

import pytest
import torch

from tests.loading import load_detector
from zsad.errors import InputError, ZsadWarning
from zsad_plugins.drawn.procedural import generate
from zsad_plugins.filo.regions import in_boxes


def test_boxes_lie_around_connected_high_pixels() -> None:
    values = torch.zeros(10, 12)
    values[1, 2] = values[2, 2] = values[2, 4] = values[2, 3] = 1.0  # an L of 2 x 3 pixels
    values[6, 7] = 0.6
    values[7, 8] = 0.9  # touches the pixel before by a corner only
    values[9, 0] = 0.5  # not above half of the range
    wanted = torch.zeros(10, 12, dtype=torch.bool)
    wanted[1:3, 2:5] = wanted[6, 7] = wanted[7, 8] = True
    assert torch.equal(in_boxes(values, 0.5, 0.7), wanted)
    assert torch.equal(in_boxes(3 * values - 7, 0.5, 0.7), wanted)


def test_large_boxes_do_not_count() -> None:
    values = torch.zeros(10, 10)
    values[0, :] = values[:, 0] = 1.0  # a thin region whose box is the whole image
    assert not in_boxes(values, 0.5, 0.7).any()
    assert in_boxes(values, 0.5, 1.1).all()
    assert not in_boxes(torch.ones(10, 10), 0.5, 1.1).any()


def test_on_mini_the_map_outside_its_regions_is_damped(mini) -> None:
    images = [generate(0, index, size=240, anomalous=True).image for index in range(3)]
    with pytest.warns(ZsadWarning, match="filo@dino runs without Grounding DINO here") as said:
        detector = load_detector("filo@dino", backbone=mini)  # with the weights that ship
    assert len([entry for entry in said if entry.category is ZsadWarning]) == 1
    assert detector.recipe.fidelity == "inspired"
    plain = load_detector("filo", backbone=mini).predict(images, "gear")
    found = detector.predict(images, "gear")
    assert torch.equal(found.score, plain.score)
    for mine, own in zip(found.anomaly_map, plain.anomaly_map, strict=True):
        inside = in_boxes(own, 0.5, 0.7)
        assert inside.any() and not inside.all()
        torch.testing.assert_close(mine, torch.where(inside, own, 0.7 * own))


def test_other_backbones_ask_for_the_detector(tiny_backbone, tmp_path) -> None:
    with pytest.raises(InputError, match=r"filo\.grounding_dino"):
        load_detector(
            "filo@dino",
            backbone=tiny_backbone,
            untrained=True,
            overrides=[f"auxiliary.grounding_dino.model={tmp_path}"],
        )
