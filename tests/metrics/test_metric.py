"""Metrics by name: their specs, their options, and the columns they fill."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.metrics.cases import random_maps
from zsad import metrics
from zsad.errors import InputError
from zsad.metrics import ImageState, Metric, PixelState
from zsad.plugin.contributions import read_contributions
from zsad.plugin.imports import load_object
from zsad.plugin.specs import MetricSpec
from zsad_plugins import metrics as plugin

COLUMNS = "image_auroc image_ap image_f1_max pixel_auroc pixel_ap pixel_f1_max aupro aupro_legacy200"


def specs() -> dict[str, MetricSpec]:
    contributed: Any = read_contributions(plugin)["zsad_metrics"]
    return {spec.name: spec for spec in contributed}


def test_the_plugin_yields_the_columns_in_order() -> None:
    assert list(specs()) == COLUMNS.split()


def test_only_f1_max_uses_test_labels() -> None:
    assert {name for name, spec in specs().items() if spec.uses_test_labels} == {
        "image_f1_max",
        "pixel_f1_max",
    }


@pytest.mark.parametrize("name", COLUMNS.split())
def test_every_metric_can_be_built_and_computed(name: str) -> None:
    built = load_object(specs()[name].factory)({})
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


def test_all_metrics_of_a_state_share_one_curve() -> None:
    maps, masks = random_maps(1)
    state = PixelState()
    state.update(maps, masks, [""] * len(maps))
    curve = state.curve
    for name in COLUMNS.split()[3:]:
        load_object(specs()[name].factory)({}).compute(state)
    assert state.curve is curve


def test_the_limit_of_aupro_is_an_option() -> None:
    maps, masks = random_maps(2)
    state = PixelState()
    state.update(maps, masks, [""] * len(maps))
    build = load_object(specs()["aupro"].factory)
    assert build({"limit": 0.05}).compute(state) == metrics.aupro(maps, masks, 0.05)
    for limit in (0, 1.5, True, "0.3", np.nan):
        with pytest.raises(InputError, match="limit has to be a number"):
            build({"limit": limit})


def test_unknown_options_are_refused() -> None:
    with pytest.raises(InputError, match="aupro has no option 'limt'; did you mean 'limit'"):
        load_object(specs()["aupro"].factory)({"limt": 0.3})
    with pytest.raises(InputError, match="image_ap has no option 'limit'"):
        load_object(specs()["image_ap"].factory)({"limit": 0.3})
