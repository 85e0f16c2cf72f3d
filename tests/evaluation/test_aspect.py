"""An evaluation of images that keep their aspect, of several shapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch.nn.functional as F
from PIL import Image
from sklearn.metrics import average_precision_score, roc_auc_score

from tests.evaluation.drawing import draw
from zsad.backbones.memory import needed_memory
from zsad.data.dataset import Dataset
from zsad.data.images import read_image
from zsad.data.masks import read_mask, resize_mask
from zsad.data.spec import open_dataset
from zsad.detect import passes

SHORT = "profile.image_resize=short-side"


@pytest.fixture
def mixed(host, tmp_path: Path) -> Dataset:
    """One class of three normal and three anomalous images, two of each upright."""
    root = draw(tmp_path / "mixed", ("nut",), size=(70, 121))
    for number in (1, 4):
        for path in root.rglob(f"{number}.png"):
            Image.open(path).transpose(Image.Transpose.ROTATE_90).save(path)
    return open_dataset(f"folder={root}", host)


@pytest.mark.parametrize("resolution", ["image-size", "native"])
@pytest.mark.parametrize("workers", [0, 1])
def test_figures_are_those_of_images_one_by_one(evaluate, detector, mixed, resolution, workers) -> None:
    methods = [detector("clip-baseline", SHORT), detector("winclip", SHORT)]
    methods[0].tower.counts.clear()
    run = evaluate(methods, [mixed], resolution=resolution, batch_size=3, workers=workers)
    assert methods[0].tower.counts["passes"] == 4  # two batches, two shapes in each, two methods on a pass
    for found in methods:
        scores, values, truth = [], [], []
        for entry in mixed.images:
            prediction = found.predict([entry.image], entry.noun)
            height, width = read_image(entry.image).shape[:2]
            mask = read_mask(entry.mask) if entry.mask else np.zeros((height, width), bool)
            whole = prediction.anomaly_map
            # The size of the whole resized image, of which the tower saw less.
            assert whole.shape[1:] == ((64, 110) if width > height else (110, 64))
            if resolution == "native":
                whole = F.interpolate(whole[:, None], mask.shape, mode="bilinear", align_corners=False)[:, 0]
            else:
                mask = resize_mask(mask, *whole.shape[1:])
            scores.append(float(prediction.score))
            values.append(whole.numpy().ravel())
            truth.append(mask.ravel())
        cell = run.cell(found.recipe.method, "nut")
        labels, marked, pixels = (
            [e.anomalous for e in mixed.images],
            np.concatenate(truth),
            np.concatenate(values),
        )
        assert cell.metrics["image_auroc"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-6)
        assert cell.metrics["pixel_auroc"] == pytest.approx(roc_auc_score(marked, pixels), abs=1e-6)
        assert cell.metrics["pixel_ap"] == pytest.approx(average_precision_score(marked, pixels), abs=1e-6)
        rows = pq.read_table(run.folder / "per_image.parquet").to_pylist()
        own = [row for row in rows if row["method"] == found.recipe.method]
        assert [row["image"] for row in own] == [str(entry.image) for entry in mixed.images]
        np.testing.assert_allclose([row["score"] for row in own], scores, atol=1e-6)


def test_pictures_have_the_shape_of_the_map(evaluate, detector, mixed) -> None:
    run = evaluate([detector("clip-baseline", SHORT)], [mixed])
    (cell,) = run.cells
    sizes = {case.image: Image.open(run.folder / "cells" / case.pictures.overlay).size for case in cell.cases}
    assert set(sizes.values()) == {(256, 148), (148, 256)}
    for case in cell.cases:
        wide = Image.open(case.image).width > Image.open(case.image).height
        assert (sizes[case.image][0] > sizes[case.image][1]) == wide
        for name in ("image", "truth", "map"):
            assert Image.open(run.folder / "cells" / getattr(case.pictures, name)).size == sizes[case.image]


def test_what_compares_images_says_why_it_has_no_answer(evaluate, detector, mixed) -> None:
    run = evaluate([detector("clip-baseline", SHORT), detector("fake-musc", SHORT)], [mixed])
    assert run.cell("clip-baseline", "nut").metrics["image_auroc"] is not None
    cell = run.cell("fake-musc", "nut")
    assert cell.metrics["image_auroc"] is None
    assert "takes them of one shape" in cell.undefined["image_auroc"]
    assert "--set profile.image_resize=squash" in cell.undefined["image_auroc"]


def test_an_image_without_memory_for_it_costs_itself_alone(
    evaluate, detector, mixed, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest = mixed.images[0].image
    Image.fromarray(np.zeros((70, 400, 3), np.uint8)).save(longest)
    found = detector("clip-baseline", SHORT)
    enough = needed_memory(found.tower, 64, 120)
    monkeypatch.setattr(passes, "available_memory", lambda device: enough)
    run = evaluate([found], [mixed])
    (cell,) = run.cells
    (failed,) = cell.failed
    assert failed.image == str(longest) and "has 365 x 64 pixels, needs at least" in failed.error
    assert cell.metrics["image_auroc"] is not None
