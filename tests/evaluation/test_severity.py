"""Figures of severity in an evaluation: from levels alone, and said to be undefined without."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest
from scipy.stats import kendalltau

from zsad.data.spec import open_dataset

METRICS = ("severity_c_index", "severity_kendall", "severity_c_index_anomalous", "severity_kendall_anomalous")


def listed(dataset, levels: dict[str, list[float]]) -> None:
    rows = []
    for name, given in levels.items():
        bad = [image for image in dataset.images if image.anomalous and image.class_name == name]
        rows += [f"{i.image.relative_to(dataset.root)},{level}" for i, level in zip(bad, given, strict=False)]
    (dataset.root / "levels.csv").write_text("\n".join(["image,level", *rows]), encoding="utf-8")


def test_figures_follow_the_levels(evaluate, detector, dataset, host) -> None:
    first, second = dataset.classes
    listed(dataset, {first: [1, 3, 2], second: [1, 2]})
    leveled = open_dataset(f"folder={dataset.root}", host)
    run = evaluate([detector("clip-baseline")], [leveled], metrics=METRICS)
    cell = run.cell("clip-baseline", first)
    rows = pq.read_table(run.folder / "per_image.parquet").to_pylist()
    scores = {row["image"]: row["score"] for row in rows}
    own = [image for image in leveled.images if image.class_name == first]
    order = [scores[str(image.image)] for image in own], [image.level or 0 for image in own]
    assert cell.metrics["severity_kendall"] == pytest.approx(kendalltau(*order).statistic)
    pairs = [(a, b) for a in zip(*order, strict=True) for b in zip(*order, strict=True) if 0 < b[1] < a[1]]
    assert len(pairs) == 3
    assert cell.metrics["severity_c_index_anomalous"] == pytest.approx(sum(a[0] > b[0] for a, b in pairs) / 3)
    lacking = run.cell("clip-baseline", second)
    assert lacking.metrics == dict.fromkeys(METRICS)
    assert set(lacking.undefined.values()) == {"undefined: no severity level for 1 anomalous images"}


def test_without_levels_they_are_undefined(evaluate, detector, dataset) -> None:
    run = evaluate([detector("clip-baseline")], [dataset], metrics=METRICS)
    for cell in run.cells:
        assert cell.metrics == dict.fromkeys(METRICS)
        assert set(cell.undefined.values()) == {"undefined: no severity levels"}
