"""Evaluations on corrupted images: figures, cells of their own, and what is lost."""

from __future__ import annotations

import csv
import re

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from zsad.data.corruption import CLEAN, Corruption, parse_corruption
from zsad.data.images import read_image
from zsad.data.masks import mask_of, resize_mask
from zsad.errors import InputError
from zsad.evaluation.report import write_report
from zsad.evaluation.robustness import Curve, changes, curves
from zsad.evaluation.summary import summary_rows
from zsad.values import Sample

CORRUPT = ("none", "brightness:0.3", "rotate:30")


def parsed(*texts: str) -> list[Corruption | None]:
    return [parse_corruption(text) for text in texts]


def cell_of(run, class_name: str, corruption: str | None):
    (found,) = [c for c in run.cells if c.class_name == class_name and c.corruption == corruption]
    return found


@pytest.mark.parametrize("resolution", ["image-size", "native"])
@pytest.mark.parametrize("text", ["gaussian-noise:0.2", "rotate:30"])
def test_figures_are_those_of_corrupted_images_and_masks(
    evaluate, detector, dataset, resolution, text
) -> None:
    method, corruption, name = detector("clip-baseline"), parse_corruption(text), dataset.classes[0]
    run = evaluate([method], [dataset], corruptions=[corruption], resolution=resolution, seed=3)
    own = [image for image in dataset.images if image.class_name == name]
    seen = []
    for image in own:
        pixels = read_image(image.image)
        seen.append(corruption(pixels, mask_of(image, pixels.shape[:2]), 3))
    prediction = method.predict([Sample(pixels, own[0].noun) for pixels, _ in seen])
    labels = [image.anomalous for image in own]
    found = cell_of(run, name, text)
    assert found.metrics["image_auroc"] == pytest.approx(roc_auc_score(labels, prediction.score))
    if resolution == "image-size":
        side = method.recipe.image_size
        truth = np.stack([resize_mask(mask, side, side) for _, mask in seen])
        expected = roc_auc_score(truth.ravel(), prediction.anomaly_map.numpy().ravel())
        assert found.metrics["pixel_auroc"] == pytest.approx(expected, abs=1e-9)


def test_cells_are_told_apart_and_hashes_are_of_the_images_as_they_are(evaluate, detector, dataset) -> None:
    run = evaluate([detector("clip-baseline")], [dataset], corruptions=parsed(*CORRUPT))
    assert len({cell.key for cell in run.cells}) == 6
    assert len({cell.dataset.manifest_hash for cell in run.cells if cell.class_name == "gear"}) == 1
    assert {cell.contaminated_by for cell in run.cells} == {""}
    with (run.folder / "summary.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["corruption"] for row in rows if row["class"] == "mean"] == list(CORRUPT)
    means = [row["image_ap"] for row in rows if row["class"] == "mean"]
    assert len(set(means)) > 1
    again = evaluate([detector("clip-baseline")], [dataset], corruptions=parsed(*CORRUPT[:2]), resume=True)
    assert again.resumed and len(again.cells) == 4
    _, cells = again.evaluation.store.read_results()
    assert len(cells) == 6  # those that are not asked for now stay


def test_a_run_of_images_as_they_are_has_no_such_column(evaluate, detector, dataset) -> None:
    run = evaluate([detector("clip-baseline")], [dataset])
    assert "corruption" not in (run.folder / "summary.csv").read_text().splitlines()[0]
    only = evaluate([detector("clip-baseline")], [dataset], corruptions=parsed("blur:2"), out="only")
    with (only.folder / "summary.csv").open(newline="") as stream:
        assert {row["corruption"] for row in csv.DictReader(stream)} == {"blur:2"}


def test_one_corruption_twice_is_refused(evaluate, detector, dataset) -> None:
    with pytest.raises(InputError, match="--corrupt: 'blur:2' was given twice"):
        evaluate([detector("clip-baseline")], [dataset], corruptions=parsed("blur:2", "blur:2.0"))


def test_what_is_lost_is_the_difference_to_the_images_as_they_are(evaluate, detector, dataset) -> None:
    texts = ("none", "brightness:0.2", "brightness:0.6", "blur:3")
    run = evaluate([detector("clip-baseline")], [dataset], corruptions=parsed(*texts))
    rows = summary_rows(run.cells)
    means = {row.corruption: row for row in rows if row.is_mean}
    found = changes(rows)
    assert [each.row.corruption for each in found] == list(texts[1:])
    for each in found:
        for name, value in each.row.metrics.items():
            assert each.change(name) == value - means[CLEAN].metrics[name]
    page = write_report(run.folder).read_text()
    aupro = means["blur:3"].metrics["aupro"], means[CLEAN].metrics["aupro"]
    assert f"{100 * aupro[0]:.1f} ({100 * (aupro[0] - aupro[1]):+.1f})" in page
    assert "clip-baseline</strong> on parts, blur:3" in page
    drawn = curves(found, {"image_auroc": "image AUROC"})
    assert [curve.title.split(",")[1] for curve in drawn] == [" brightness"] * 3  # one strength is no curve
    (line,) = drawn[0].lines.values()
    xs, ys = np.array([[float(v) for v in point.split(",")] for point in line.split()]).T
    assert drawn[0].ends == ("0", "0.6") and np.allclose(
        (xs - xs[0]) / (xs[-1] - xs[0]), [0, 1 / 3, 1], atol=1e-3
    )
    values = [means[text].metrics["image_auroc"] for text in texts[:3]]
    assert np.allclose((142 - ys) / 134, values, atol=1e-3)
    assert len(re.findall("<polyline", page)) == len(drawn) == 3
    assert isinstance(drawn[0], Curve)


def test_without_the_images_as_they_are_nothing_is_compared(evaluate, detector, dataset) -> None:
    run = evaluate([detector("clip-baseline")], [dataset], corruptions=parsed("blur:2", "blur:4"))
    assert changes(summary_rows(run.cells)) == []
    assert "Robustness" not in write_report(run.folder).read_text()
