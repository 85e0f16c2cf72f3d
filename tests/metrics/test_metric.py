"""Metrics by name: their specs and the columns they fill."""

from __future__ import annotations

from typing import Any

import pytest

from tests.metrics.cases import random_maps
from zsad import metrics
from zsad.metrics import ImageState, Metric, PixelState
from zsad.plugin.contributions import read_contributions
from zsad.plugin.imports import load_object
from zsad.plugin.specs import MetricSpec
from zsad_plugins import metrics as plugin

COLUMNS = "image_auroc image_ap image_f1_max pixel_auroc pixel_ap pixel_f1_max aupro aupro_legacy200"
SEVERITY = "severity_c_index severity_c_index_anomalous severity_kendall severity_kendall_anomalous"


def specs() -> dict[str, MetricSpec]:
    contributed: Any = read_contributions(plugin)["zsad_metrics"]
    return {spec.name: spec for spec in contributed}


def test_the_plugin_yields_the_columns_in_order() -> None:
    assert list(specs()) == [*COLUMNS.split(), *SEVERITY.split()]


def test_only_f1_max_uses_test_labels() -> None:
    assert {name for name, spec in specs().items() if spec.uses_test_labels} == {
        "image_f1_max",
        "pixel_f1_max",
    }


@pytest.mark.parametrize("name", COLUMNS.split())
def test_every_metric_can_be_built_and_computed(name: str) -> None:
    built = load_object(specs()[name].factory)()
    assert isinstance(built, Metric)
    assert built.level == ("image" if name.startswith("image") else "pixel")
    maps, masks = random_maps(0)
    names = [f"{index}" for index in range(len(maps))]
    pixels, images = PixelState(), ImageState()
    pixels.update(maps, masks, names)
    images.update(maps.max(axis=(1, 2)), masks.any(axis=(1, 2)), names)
    right, wrong = (images, pixels) if built.level == "image" else (pixels, images)
    assert 0 < built.compute(right) <= 1
    with pytest.raises(TypeError, match=f"level '{built.level}'"):
        built.compute(wrong)


@pytest.mark.parametrize("name", SEVERITY.split())
def test_metrics_of_severity_are_of_their_own_level(name: str) -> None:
    built = load_object(specs()[name].factory)()
    assert isinstance(built, Metric) and built.level == "severity"
    with pytest.raises(TypeError, match="level 'severity'"):
        built.compute(PixelState())


def test_all_metrics_of_a_state_share_one_curve() -> None:
    maps, masks = random_maps(1)
    state = PixelState()
    state.update(maps, masks, [""] * len(maps))
    curve = state.curve
    for name in COLUMNS.split()[3:]:
        load_object(specs()[name].factory)().compute(state)
    assert state.curve is curve


def test_aupro_ends_at_a_false_positive_rate_of_0_3() -> None:
    maps, masks = random_maps(2)
    state = PixelState()
    state.update(maps, masks, [""] * len(maps))
    figure = load_object(specs()["aupro"].factory)().compute(state)
    assert figure == metrics.aupro(maps, masks, 0.3) != metrics.aupro(maps, masks, 0.05)
