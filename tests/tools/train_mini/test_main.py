"""``python -m tools.train_mini``: a whole run, and its figures."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from sklearn.metrics import roc_auc_score

from tests.loading import load_detector
from tests.tools.train_mini.conftest import SIZE
from tools.train_mini.__main__ import arguments, from_file
from tools.train_mini.measure import auroc, folder_examples
from zsad.backbones.clip import state_digest
from zsad_plugins.mini.backbone import read_mini


def test_a_run_writes_a_backbone(finished_run, stem) -> None:
    path = finished_run / "mini.safetensors"
    model, ids, _ = read_mini(path)
    assert model.shape.image_size == SIZE and model.shape.rows == len(ids)
    # The stem is the one it began with, whose half-precision file holds it exactly.
    assert state_digest(model.stem.state_dict()) == state_digest(stem.state_dict())
    with safe_open(path, framework="pt") as file:
        notes = file.metadata()
    # What decides on the weights, and no path of the machine.
    assert set(json.loads(notes["plan"])) == {"images", "seed", "steps", "batch", "rate", "size"}
    assert not [value for value in notes.values() if str(finished_run) in value]
    assert {"drawing_seconds", "training_seconds", "torch"} <= set(notes)
    assert not (finished_run / "figures.json").exists()  # nothing was to be measured


def test_the_file_serves_detectors(finished_run) -> None:
    backbone = from_file(finished_run / "mini.safetensors", "cpu")
    assert len(backbone.sha256) == 64 and backbone.sha256 != state_digest(read_mini()[2])
    image = np.random.default_rng(0).integers(0, 255, (90, 70, 3), dtype=np.uint8)
    prediction = load_detector("clip-baseline", backbone=backbone).predict([image], "nut")
    assert prediction.anomaly_map.shape == (1, SIZE, SIZE)
    assert bool(torch.isfinite(prediction.anomaly_map).all())


@pytest.mark.parametrize("size", ["100", "16"])
def test_sizes_off_the_grid_are_refused(size, capsys) -> None:
    with pytest.raises(SystemExit) as left:
        arguments(["--out", "x", "--size", size])
    assert left.value.code == 2 and f"--size {size}" in capsys.readouterr().err


@pytest.mark.parametrize("seed", range(3))
def test_auroc(seed) -> None:
    rng = np.random.default_rng(seed)
    scores, labels = rng.integers(0, 6, 50) / 5, rng.random(50) < 0.3
    assert auroc(scores, labels) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert auroc(scores, np.zeros(50, bool)) is None and auroc(scores, np.ones(50, bool)) is None


def test_folders_are_read_with_their_masks(tmp_path) -> None:
    Image.new("RGB", (6, 4), (9, 9, 9)).save(tmp_path / "a.png")
    mask = np.zeros((4, 6), np.uint8)
    mask[1, 2] = 255
    Image.fromarray(mask).save(tmp_path / "m.png")
    with (tmp_path / "manifest.csv").open("w", newline="") as stream:
        rows = [
            ["image", "mask", "label", "class_name"],
            ["a.png", "", 0, "nut"],
            ["a.png", "m.png", 1, "nut"],
        ]
        csv.writer(stream).writerows(rows)
    normal, anomalous = folder_examples(tmp_path)
    assert not normal.mask.any() and np.array_equal(anomalous.mask, mask > 0)
    assert anomalous.sample.class_name == "nut" and anomalous.sample.image.shape == (4, 6, 3)
