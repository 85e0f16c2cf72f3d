"""The metrics agree with the numbers of the parity kit: scikit-learn's and those of the authors' routine."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.metrics.cases import Array, kit_case
from tests.parity.goldens import find_kit
from zsad import metrics
from zsad.metrics import PixelState, UndefinedMetricError

pytestmark = pytest.mark.parity

MARK = 1e-9

PIXEL: dict[str, Callable[[Array, Array], float]] = {
    "pixel_auroc_sklearn": metrics.auroc,
    "pixel_ap_sklearn": metrics.average_precision,
    "pixel_f1max_sklearn": metrics.f1_max,
    "aupro03_exact_8conn": metrics.aupro,
    "aupro03_anomalyclip": metrics.aupro_legacy200,
}
IMAGE: dict[str, Callable[[Array, Array], float]] = {
    "image_auroc_sklearn": metrics.auroc,
    "image_ap_sklearn": metrics.average_precision,
    "image_f1max_sklearn": metrics.f1_max,
}


def golden_folder() -> Path | None:
    root = find_kit()
    folder = root / "metrics" if root else None
    return folder if folder and (folder / "metrics_golden.json").is_file() else None


def golden() -> Mapping[str, Any]:
    folder = golden_folder()
    if folder is None:
        return {"seed": 0, "values": {}}
    found: Mapping[str, Any] = json.loads((folder / "metrics_golden.json").read_text(encoding="utf-8"))
    return found


def inputs(name: str) -> Mapping[str, Array]:
    """Return a case's arrays: the kit's own, else those that its rule gives."""
    folder = golden_folder()
    assert folder is not None
    path = folder / "metrics_inputs.npz"
    if not path.is_file():
        return kit_case(name, golden()["seed"])
    with np.load(path, allow_pickle=False) as archive:
        prefix = f"{name}_"
        return {key.removeprefix(prefix): archive[key] for key in archive.files if key.startswith(prefix)}


@pytest.mark.parametrize("name", list(golden()["values"]) or [None])
def test_values(name: str | None, require: Callable[[str, str], None]) -> None:
    if name is None:
        require("kit", "the parity kit has no golden metrics")
    assert name is not None
    expected, arrays = golden()["values"][name], inputs(name)
    mine = {key: metric(arrays["maps"], arrays["masks"]) for key, metric in PIXEL.items()}
    # A case without normal images has no image metrics.
    for key, metric in IMAGE.items():
        if key in expected:
            mine[key] = metric(arrays["scores"], arrays["labels"])
        elif "scores" in arrays:
            with pytest.raises(UndefinedMetricError):
                metric(arrays["scores"], arrays["labels"])
    assert mine == {key: pytest.approx(expected[key], abs=MARK) for key in mine}
    state = PixelState()
    state.update(arrays["maps"], arrays["masks"], [""] * len(arrays["maps"]))
    assert state.n_regions == expected["components_8conn"]
