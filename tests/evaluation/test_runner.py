"""What an evaluation computes: the figures, and what is computed once for several methods."""

from __future__ import annotations

import html
import re
import weakref
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from sklearn.metrics import average_precision_score, f1_score, precision_recall_curve, roc_auc_score

from tests.evaluation.drawing import draw
from zsad.data.images import read_image
from zsad.data.masks import read_mask, resize_mask
from zsad.data.spec import open_dataset
from zsad.evaluation import recording, runner
from zsad.evaluation.cells import Contestant, Rules
from zsad.evaluation.planning import make_plan
from zsad.values import Sample

BATCH = 4


def predictions(detector, images, batch_size: int = BATCH):
    """Scores [n] and maps [n, S, S] in a loop of the test's own, in the runner's batches."""
    found = [
        detector.predict([entry.image for entry in images[low : low + batch_size]], images[0].noun)
        for low in range(0, len(images), batch_size)
    ]
    scores = torch.cat([entry.score for entry in found]).numpy()
    return scores, torch.cat([entry.anomaly_map for entry in found])


def f1_max(labels, values) -> float:
    precision, recall, _ = precision_recall_curve(labels, values)
    return float(np.max(2 * precision * recall / np.maximum(precision + recall, 1e-12)))


def expected(labels, scores, truth, pixels) -> dict[str, float]:
    return {
        "image_auroc": roc_auc_score(labels, scores),
        "image_ap": average_precision_score(labels, scores),
        "image_f1_max": f1_max(labels, scores),
        "pixel_auroc": roc_auc_score(truth, pixels),
        "pixel_ap": average_precision_score(truth, pixels),
        "pixel_f1_max": f1_max(truth, pixels),
    }


@pytest.mark.parametrize("resolution", ["image-size", "native"])
@pytest.mark.parametrize("workers", [0, 1])
def test_figures_are_those_of_scikit_learn(evaluate, detector, dataset, resolution, workers) -> None:
    found = detector("clip-baseline")
    run = evaluate([found], [dataset], resolution=resolution, batch_size=BATCH, workers=workers)
    for name in dataset.classes:
        images = dataset.restricted_to([name]).images
        scores, maps = predictions(found, images)
        masks = [
            read_mask(entry.mask) if entry.mask else np.zeros(read_image(entry.image).shape[:2], bool)
            for entry in images
        ]
        if resolution == "native":
            maps = F.interpolate(maps[:, None], masks[0].shape, mode="bilinear", align_corners=False)[:, 0]
        else:
            masks = [resize_mask(mask, 64, 64) for mask in masks]
        labels = [entry.anomalous for entry in images]
        truth, pixels = np.stack(masks).ravel(), maps.numpy().ravel()
        cell = run.cell("clip-baseline", name)
        for metric, value in expected(labels, scores, truth, pixels).items():
            assert cell.metrics[metric] == pytest.approx(value, abs=1e-6), metric
        assert 0 <= cell.metrics["aupro"] <= 1
        assert cell.resolution == resolution
        assert cell.mask_rule == (None if resolution == "native" else "bilinear>0.5")
        rows = pq.read_table(run.folder / "per_image.parquet").to_pylist()
        np.testing.assert_allclose([r["score"] for r in rows if r["class"] == name], scores, atol=1e-6)


def test_several_methods_ride_on_one_pass(evaluate, detector, dataset) -> None:
    methods = [detector("clip-baseline"), detector("fake-cops"), detector("fake-musc")]
    injecting = detector("fake-adaclip")
    tower = methods[0].tower
    tower.counts.clear()
    run = evaluate([*methods, injecting], [dataset], batch_size=3)
    # 12 images in batches of three: one pass for three methods, two for the one that injects tokens.
    assert tower.counts["passes"] == 4 + 2 * 4
    assert run.evaluation.plan.passes == 12 + 24
    assert run.evaluation.plan.separate_passes == 3 * 12 + 24
    assert run.cell("fake-cops", "gear").timings.methods_on_the_pass == 3
    alone = evaluate([detector("fake-cops")], [dataset], out="alone", batch_size=3)
    for name in dataset.classes:
        shared = run.cell("fake-cops", name).metrics
        assert alone.cell("fake-cops", name).metrics == pytest.approx(shared, abs=1e-6)


def test_a_class_is_the_scope_of_a_transductive_method(evaluate, detector, dataset) -> None:
    # Two classes with one noun: scopes by noun would mix them.
    same = replace(dataset, images=tuple(replace(image, noun="part") for image in dataset.images))
    found = detector("fake-musc")
    run = evaluate([found], [same], batch_size=4)
    rows = pq.read_table(run.folder / "per_image.parquet").to_pylist()
    for name in same.classes:
        images = same.restricted_to([name]).images
        whole = found.predict([entry.image for entry in images], "part").score.numpy()
        np.testing.assert_allclose([r["score"] for r in rows if r["class"] == name], whole, atol=1e-5)
        cell = run.cell("fake-musc", name)
        assert cell.transductive_batch == 6 and "transductive" in cell.setting
    assert evaluate([detector("clip-baseline")], [same], out="b").cells[0].transductive_batch is None


def test_side_inputs_see_the_pixels(evaluate, detector, dataset) -> None:
    found = detector("fake-filo")  # its boxes depend on the first pixel
    run = evaluate([found], [dataset], batch_size=BATCH, workers=1)
    rows = pq.read_table(run.folder / "per_image.parquet").to_pylist()
    for name in dataset.classes:
        scores, _ = predictions(found, dataset.restricted_to([name]).images)
        np.testing.assert_allclose([r["score"] for r in rows if r["class"] == name], scores, atol=1e-6)


def test_an_unreadable_image_leaves_the_others_in_their_batches(evaluate, detector, host, tmp_path) -> None:
    root = draw(tmp_path / "parts", ["gear"])
    (root / "gear" / "good" / "1.png").write_bytes(b"no image")
    dataset = open_dataset(f"folder={root}", host)
    run = evaluate([detector("clip-baseline"), detector("fake-musc")], [dataset], batch_size=2)
    for cell in run.cells:
        assert (cell.n_normal, cell.n_anomalous, cell.n_failed) == (2, 3, 1)
        assert cell.failed[0].image.endswith("good/1.png")
    assert run.cell("fake-musc", "gear").transductive_batch == 5
    rows = [row for row in pq.read_table(run.folder / "per_image.parquet").to_pylist()
            if row["method"] == "clip-baseline"]  # fmt: skip
    assert [row["place"] for row in rows] == list(range(6))
    assert rows[1]["score"] is None and "1.png" in rows[1]["error"]


def test_figures_without_normal_images_or_masks_are_undefined(evaluate, detector, host, tmp_path) -> None:
    root = draw(tmp_path / "parts", ["gear"])
    everything = open_dataset(f"folder={root}", host)
    defects = replace(everything, name="defects", images=everything.images[3:])
    bare = open_dataset(f"bare:folder={draw(tmp_path / 'bare', ['gear'], masks=False)}", host)
    run = evaluate([detector("clip-baseline")], [defects, bare])
    first, second = run.cells
    for name in ("image_auroc", "image_ap", "image_f1_max"):
        assert first.metrics[name] is None
        assert first.undefined[name] == "undefined: no normal images"
        assert second.metrics[name] is not None
    for name in ("pixel_auroc", "pixel_ap", "pixel_f1_max", "aupro"):
        assert first.metrics[name] is not None
        assert second.metrics[name] is None
        assert second.undefined[name] == "undefined: no masks for 3 anomalous images"
    page = (run.folder / "report.html").read_text()
    assert "undefined: no normal images" in page and "undefined: no masks for 3 anomalous images" in page


@pytest.mark.parametrize("method", ["fake-musc", "clip-baseline"])
def test_a_score_that_is_no_number_names_image_and_method(evaluate, detector, dataset, method) -> None:
    found = detector(method)
    scope, seen = found.scope, []

    def broken(prediction):
        seen.append(prediction)
        if prediction is not None and len(seen) > 1:
            prediction.anomaly_map[1, 3, 3] = float("nan")
        return prediction

    def of_broken_parts():
        made = scope()
        add, finish = made.add, made.finish
        made.add = lambda features, conditioning: broken(add(features, conditioning))
        made.finish = lambda: broken(finish())
        return made

    found.scope = of_broken_parts
    run = evaluate([found, detector("clip-baseline@vv")], [dataset], batch_size=3)
    cell = run.cell(method, "gear")
    assert re.match(
        rf"method '{method}' gave a score that is no number for .*gear/(good|scratch)/\d.png", cell.error
    )
    assert set(cell.metrics.values()) == {None} and cell.cases == () and cell.thresholds == {}
    assert (cell.n_normal, cell.n_anomalous, cell.n_failed) == (3, 3, 0)
    assert set(cell.undefined.values()) == {f"undefined: {cell.error}"}
    rows = [row for row in run.evaluation.store.read_images() if row.cell == cell.key]
    assert [row.place for row in rows] == [*range(6)]
    assert {row.error for row in rows} == {cell.error} and {row.score for row in rows} == {None}
    alone = evaluate([detector("clip-baseline@vv")], [dataset], out="alone", batch_size=3)
    for name in dataset.classes:
        other = run.cell("clip-baseline@vv", name)
        assert other.error is None and other.metrics == alone.cell("clip-baseline@vv", name).metrics
    assert cell.error in html.unescape((run.folder / "report.html").read_text())


@pytest.mark.parametrize("where", ["inject", "auxiliary", "score"])
def test_a_method_that_raises_costs_its_own_cells(evaluate, detector, dataset, monkeypatch, where) -> None:
    broken = detector("fake-filo" if where == "auxiliary" else "fake-cops")
    fine = detector("clip-baseline")

    def raises(*_: object) -> None:
        raise RuntimeError("out of\nluck")

    if where == "score":
        monkeypatch.setattr(broken, "add", raises)
    else:  # in the pass that it shares with the other
        encode = runner.encode_together

        def encoded(detectors, samples):
            return raises() if broken in detectors else encode(detectors, samples)

        monkeypatch.setattr(runner, "encode_together", encoded)
    run = evaluate([broken, fine], [dataset], metrics=("image_ap", "pixel_ap"))
    assert [cell.error for cell in run.cells if cell.method != "clip-baseline"] == [
        "RuntimeError: out of luck"
    ] * 2
    alone = evaluate([fine], [dataset], out="alone", metrics=("image_ap", "pixel_ap"))
    for name in dataset.classes:
        assert run.cell("clip-baseline", name).metrics == alone.cell("clip-baseline", name).metrics
    monkeypatch.undo()
    again = evaluate([broken, fine], [dataset], metrics=("image_ap", "pixel_ap"), resume=True)
    assert [cell.error for cell in again.cells] == [None] * 4
    assert again.cell("clip-baseline", "gear") == run.cell("clip-baseline", "gear")


def test_a_class_that_a_method_cannot_answer_costs_its_cell(evaluate, detector, dataset) -> None:
    one = [image for image in dataset.images if image.class_name != "gear" or image.image.name == "3.png"]
    lone = replace(dataset, images=tuple(one))
    run = evaluate([detector("musc"), detector("clip-baseline")], [lone])
    gear, screw = run.cell("musc", "gear"), run.cell("musc", "screw")
    assert "'gear' has only one image here; give two or more of it at once" in gear.error
    assert gear.n_anomalous == 1 and gear.undefined["pixel_ap"] == f"undefined: {gear.error}"
    assert screw.error is None and screw.metrics["pixel_ap"] is not None
    assert run.cell("clip-baseline", "gear").error is None
    mean = next(row for row in run.evaluation.rows() if row.is_mean and row.method == "musc")
    assert mean.metrics["pixel_ap"] == screw.metrics["pixel_ap"]


def test_a_figure_of_one_threshold_says_which(evaluate, detector, dataset) -> None:
    found = detector("clip-baseline")
    run = evaluate([found], [dataset], batch_size=BATCH)
    for name in dataset.classes:
        images = dataset.restricted_to([name]).images
        scores, maps = predictions(found, images)
        labels = np.array([entry.anomalous for entry in images])
        cell = run.cell("clip-baseline", name)
        assert set(cell.thresholds) == {"image_f1_max", "pixel_f1_max"}
        at = cell.thresholds["image_f1_max"]
        assert f1_score(labels, scores >= at) == pytest.approx(cell.metrics["image_f1_max"], abs=1e-12)
        masks = [
            resize_mask(read_mask(entry.mask), 64, 64) if entry.mask else np.zeros((64, 64), bool)
            for entry in images
        ]
        marked = maps.numpy().ravel() >= np.float32(cell.thresholds["pixel_f1_max"])
        value = f1_score(np.stack(masks).ravel(), marked)
        assert value == pytest.approx(cell.metrics["pixel_f1_max"], abs=1e-3)
        assert f"at {at:.4g}" in (run.folder / "report.html").read_text()


def test_the_same_run_gives_the_same_table(evaluate, detector, dataset) -> None:
    methods = [detector("clip-baseline"), detector("fake-musc")]
    tables = [
        (evaluate(methods, [dataset], out=out, workers=w).folder / "summary.csv").read_bytes()
        for out, w in (("a", 0), ("b", 0), ("c", 1))
    ]
    assert tables[0] == tables[1] == tables[2]


def test_maps_and_pixels_of_a_class_are_not_kept(evaluate, detector, host, tmp_path) -> None:
    dataset = open_dataset(f"folder={draw(tmp_path / 'p', ['gear'], normal=9, anomalous=9)}", host)
    found = detector("clip-baseline")
    add, maps, alive = found.add, [], []

    def watched(scope, features):
        alive.append(sum(each() is not None for each in maps))
        prediction = add(scope, features)
        maps.append(weakref.ref(prediction.anomaly_map))
        return prediction

    found.add = watched
    assert evaluate([found], [dataset], batch_size=2).cells[0].n_anomalous == 9
    assert len(alive) == 9 and max(alive) <= 1
    waiting = recording._without_pixels(
        recording.Loaded(0, dataset.images[0], Sample(np.ones((9, 9, 3))), None)
    )
    assert waiting.sample.image.size == 0


def test_a_batch_counts_only_where_a_part_depends_on_it(detector, dataset, monkeypatch) -> None:
    contestant = Contestant(detector("clip-baseline"))

    def keys() -> set[str]:
        rules = [Rules(("image_ap",), batch_size=size) for size in (2, 4)]
        return {make_plan([contestant], [dataset], each).cells[0].key for each in rules}

    assert len(keys()) == 1
    spec = replace(contestant.detector.recipe.parts[0].spec, batch_dependent=True)
    part = replace(contestant.detector.recipe.parts[0], spec=spec)
    recipe = replace(contestant.detector.recipe, parts=(part, *contestant.detector.recipe.parts[1:]))
    monkeypatch.setattr(contestant.detector, "recipe", recipe)
    assert len(keys()) == 2


def test_images_of_several_sizes_at_native_resolution(evaluate, detector, host, tmp_path) -> None:
    root = draw(tmp_path / "parts", ["gear"])
    good = root / "gear" / "good" / "0.png"
    Image.open(good).resize((40, 120)).save(good)
    dataset = open_dataset(f"folder={root}", host)
    cell = evaluate([detector("clip-baseline")], [dataset], resolution="native").cells[0]
    assert cell.n_normal == 3 and cell.metrics["aupro"] is not None
