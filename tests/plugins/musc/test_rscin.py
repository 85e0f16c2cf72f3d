"""RsCIN against its matrices, and behind methods that know nothing of it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
import torch.nn.functional as F

from tests.evaluation.drawing import draw
from tests.loading import load_detector
from zsad.cli.main import main
from zsad.errors import InputError
from zsad.values import Features, Scores
from zsad_plugins.musc.options import RscinOptions
from zsad_plugins.musc.rscin import Rscin, min_max, neighbourhood_means

METHODS = ("clip-baseline", "winclip", "anomalyclip")
SIDE = 64


def by_matrices(scores: torch.Tensor, features: torch.Tensor, neighbours: tuple[int, ...]) -> torch.Tensor:
    """Return the mean of W_k s over k, each W_k written out, of min-max scaled scores."""
    scores = (scores - scores.min()) / (scores.max() - scores.min())
    unit = F.normalize(features, dim=-1)
    similarity = unit @ unit.T
    total = torch.zeros_like(scores)
    for k in neighbours:
        rows = []
        for row in similarity:
            kept = torch.where(row >= row.sort(descending=True).values[min(k, len(row)) - 1], row, 0)
            rows.append(kept / kept.sum())
        total += torch.stack(rows) @ scores
    return total / len(neighbours)


def step_of(*neighbours: int, min_max: bool = True) -> Rscin:
    return Rscin(RscinOptions(neighbours=neighbours, min_max=min_max), None)


def scope(count: int, name: str = "gear") -> tuple[Scores, Features]:
    draw = torch.Generator().manual_seed(count)
    features = Features((), torch.randn(count, 8, generator=draw).abs(), (name,) * count, (24, 24))
    return Scores(map=torch.rand(count, 24, 24), image_score=torch.rand(count, generator=draw)), features


@pytest.mark.parametrize("neighbours", [(1,), (1, 2, 3), (1, 8, 9), (5, 2)])
@pytest.mark.parametrize("count", [2, 5, 12])
def test_scores_are_those_of_the_matrices(neighbours: tuple[int, ...], count: int) -> None:
    scores, features = scope(count)
    step = step_of(*neighbours)
    found = step.finalize([step.collect(scores, features)])
    expected = by_matrices(scores.image_score, features.image_feature, neighbours)
    torch.testing.assert_close(found.image_score, expected)
    assert found.trace == ("musc.rscin",) and found.map is not None
    torch.testing.assert_close(found.map, scores.map)


def test_batches_change_nothing() -> None:
    scores, features = scope(7)
    step = step_of(1, 2, 3)
    whole = step.finalize([step.collect(scores, features)])
    places = ([0, 1, 2], [3], [4, 5, 6])
    parts = [step.collect(scores.select(own), features.select(own)) for own in places]
    torch.testing.assert_close(step.finalize(parts).image_score, whole.image_score)


def test_an_image_alone_in_its_neighbourhood_keeps_its_score() -> None:
    scores, features = scope(6)
    unit = F.normalize(features.image_feature, dim=-1)
    torch.testing.assert_close(neighbourhood_means(scores.image_score, unit, (1,)), scores.image_score)
    step = step_of(1, min_max=False)  # without rescaling the scores keep their own scale
    found = step.finalize([step.collect(scores, features)])
    torch.testing.assert_close(found.image_score, scores.image_score)


def test_equal_scores_become_zero() -> None:
    assert torch.equal(min_max(torch.full((4,), 0.3)), torch.zeros(4))


def test_one_image_is_refused_in_one_sentence() -> None:
    step = step_of(1, 2, 3)
    with pytest.raises(InputError, match=r"'gear' has only one image here; .*post_processors-=musc.rscin"):
        step.finalize([step.collect(*scope(1))])


def images_of(folder: Path) -> list[Path]:
    return sorted(path for state in ("good", "scratch") for path in (folder / state).glob("*.png"))


def place_of(path: str | Path) -> str:
    """Return state and file name, which together name an image of a class."""
    return "/".join(Path(path).parts[-2:])


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of two classes of two normal and three anomalous images."""
    return draw(tmp_path_factory.mktemp("data") / "parts", normal=2, anomalous=3)


@pytest.fixture(scope="module")
def expected(parts: Path) -> Callable[[str, str], dict[str, float]]:
    """Scores by image file that RsCIN has to give a method on a class, from its plain scores."""

    def compute(method: str, class_name: str) -> dict[str, float]:
        paths = images_of(parts / class_name)
        plain = load_detector(method, backbone="mini", image_size=SIDE)
        features = plain.encode(paths, class_name)
        scores = by_matrices(plain.score(features).score, features.image_feature, (1, 2, 3))
        return {place_of(path): float(score) for path, score in zip(paths, scores, strict=True)}

    return compute


@pytest.mark.parametrize("method", METHODS)
def test_zsad_predict_behind_any_method(method, parts, expected, tmp_path, capsys) -> None:
    files = images_of(parts / "gear")
    main(["predict", *map(str, files), "--method", method, "--backbone", "mini", "--image-size", str(SIDE),
          "--class-name", "gear", "--batch-size", "2", "--out", str(tmp_path / "out"), "--json",
          "--set", "post_processors+=musc.rscin"])  # fmt: skip
    report = json.loads(capsys.readouterr().out)
    found = {place_of(image["path"]): image["score"] for image in report["images"]}
    assert found == pytest.approx(expected(method, "gear"), abs=1e-5)
    assert "/ transductive /" in report["setting"] and min(found.values()) >= 0 and max(found.values()) <= 1


@pytest.mark.parametrize("method", METHODS)
def test_zsad_eval_behind_any_method(method, parts, expected, tmp_path) -> None:
    out = tmp_path / "out"
    main(["eval", "--method", method, "--backbone", "mini", "--image-size", str(SIDE), "--data",
          f"folder={parts}", "--out", str(out), "--workers", "0", "--batch-size", "2",
          "--metrics", "image_auroc", "--metrics", "pixel_auroc",
          "--set", "post_processors+=musc.rscin"])  # fmt: skip
    with (out / "summary.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["class"] for row in rows} >= {"gear", "screw"}
    assert all(row["fidelity"] == "composed" and "/ transductive /" in row["setting"] for row in rows)
    images = pq.read_table(out / "per_image.parquet").to_pylist()
    for name in ("gear", "screw"):
        found = {place_of(row["image"]): row["score"] for row in images if row["class"] == name}
        assert found == pytest.approx(expected(method, name), abs=1e-5)
