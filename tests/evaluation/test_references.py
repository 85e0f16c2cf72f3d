from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import zsad
from tests.evaluation.drawing import draw
from zsad.errors import InputError
from zsad.evaluation.summary import telling

TINY = f"{Path(__file__).parents[1] / 'assets' / 'tiny-clip.json'}@random:0"
CLASSES = ("pcb1", "pcb2")  # of one noun


def picture(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(60, 120, (70, 90, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """Two classes to test, without a training part."""
    return draw(tmp_path / "parts", CLASSES)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """Four references of each class."""
    for number, name in enumerate(CLASSES):
        for seed in range(4):
            picture(tmp_path / "good" / name / f"{seed}.png", 100 + 10 * number + seed)
    return tmp_path / "good"


@pytest.fixture
def with_training(parts: Path, tmp_path: Path, good: Path) -> Path:
    """The same classes as MVTec AD lies."""
    root = tmp_path / "mvtec"
    for name in CLASSES:
        for state in ("good", "scratch"):
            shutil.copytree(parts / name / state, root / name / "test" / state)
        shutil.copytree(parts / name / "masks" / "scratch", root / name / "ground_truth" / "scratch")
        shutil.copytree(good / name, root / name / "train" / "good")
    return root


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Any]:
    def evaluated(data: str, *methods: str, out: str = "run", **wanted: Any) -> Any:
        options = {
            "backbone": TINY,
            "image_size": 64,
            "workers": 0,
            "metrics": ["image_auroc", "pixel_auroc"],
        }
        return zsad.evaluate(methods or ("nearest-neighbour",), data, tmp_path / out, **{**options, **wanted})

    return evaluated


def figures(found: Any) -> list[dict[str, float | None]]:
    return [cell.metrics for cell in found.cells]


def test_every_class_is_compared_with_its_own_references(run, parts, good, tmp_path) -> None:
    together = run(f"folder={parts}", reference=good)
    assert [(cell.class_name, cell.shots) for cell in together.cells] == [("pcb1", 4), ("pcb2", 4)]
    assert {cell.setting for cell in together.cells} == {"training-free / inductive / few-shot-normal"}
    for cell in together.cells:
        assert {Path(facts.name).parent.name for facts in cell.references} == {cell.class_name}
        alone = run(
            f"folder={parts}:{cell.class_name}", reference=good / cell.class_name, out=cell.class_name
        )
        assert figures(alone) == [cell.metrics]
    assert figures(together)[0] != figures(run(f"folder={parts}:pcb1", reference=good / "pcb2", out="x"))[0]


def test_folders_a_training_part_and_a_memory_give_the_same(
    run, parts, good, with_training, tmp_path
) -> None:
    wanted = {"backbone": TINY, "image_size": 64}
    kept = tmp_path / "kept.safetensors"
    zsad.remember("nearest-neighbour", good, kept, shots=2, seed=3, **wanted)
    found = [
        run(f"folder={parts}", reference=good, shots=2, seed=3, out="a"),
        run(f"mvtec={with_training}", shots=2, seed=3, out="b"),
        run(f"folder={parts}", memory=kept, seed=3, out="c"),
    ]
    assert figures(found[0]) == figures(found[1]) == figures(found[2])
    contents = [[[facts.content for facts in cell.references] for cell in each.cells] for each in found]
    assert [sorted(one) for one in contents[0]] == [sorted(one) for one in contents[1]]
    assert [sorted(one) for one in contents[0]] == [sorted(one) for one in contents[2]]


def test_shots_and_seeds_are_rows_of_their_own(run, parts, good, tmp_path) -> None:
    for shots, seed in ((1, 0), (2, 0), (2, 1)):
        run(f"folder={parts}:pcb1", reference=good, shots=shots, seed=seed, resume=True)
    again = run(f"folder={parts}:pcb1", reference=good, shots=2, seed=1, resume=True)
    with (tmp_path / "run" / "summary.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["class"] != "mean"]
    assert sorted((row["shots"], row["seed"]) for row in rows) == [("1", "0"), ("2", "0"), ("2", "1")]
    assert len(again.cells) == 1 and telling(again.rows) == ("shots", "seed")

    before = {path.name for path in (tmp_path / "run" / "cells").glob("*.json")}
    for path in (good / "pcb1").iterdir():
        picture(path, 500 + int(path.stem))
    run(f"folder={parts}:pcb1", reference=good, shots=2, seed=1, resume=True)
    after = {path.name for path in (tmp_path / "run" / "cells").glob("*.json")}
    assert len(after - before) == 1, "other references make another cell"


def test_zero_shot_methods_ride_along_and_have_no_shots(run, parts, good) -> None:
    found = run(f"folder={parts}:pcb1", "clip-baseline", "nearest-neighbour", reference=good)
    assert {cell.method: (cell.shots, len(cell.references)) for cell in found.cells} == {
        "clip-baseline": (0, 0),
        "nearest-neighbour": (4, 4),
    }


def test_a_reference_that_cannot_be_read_costs_the_cells_that_need_it(run, parts, good) -> None:
    (good / "pcb1" / "broken.png").write_text("no image")
    found = run(f"folder={parts}", "clip-baseline", "nearest-neighbour", reference=good)
    errors = {(cell.method, cell.class_name): cell.error for cell in found.cells}
    assert "broken.png" in errors.pop(("nearest-neighbour", "pcb1"))
    assert set(errors.values()) == {None}


@pytest.mark.parametrize(
    ("methods", "wanted", "why"),
    [
        ((), {}, r"needs reference images: give --reference DIR, --shots K to draw from the training part"),
        (("clip-baseline",), {"shots": 2}, r"--shots: no method here takes references .those that do: "),
        ((), {"shots": 2}, r"'parts' .layout 'folder'. has no normal training images of class 'pcb1'"),
        ((), {"shots": 0}, "--shots 0: draw 1 reference or more"),
        ((), {"reference": "good/pcb1", "memory": "x"}, "--memory stands in the place of --reference"),
        ((), {"shots": 1, "memory": "x"}, "--memory stands in the place of --shots"),
        ((), {"reference": "parts/pcb1/good"}, r"0.png' is among the references too"),
        ((), {"reference": "others"}, r"no folder of class 'pcb1'.*there are bolt"),
        ((), {"reference": "good", "reference_abnormal": "good", "reference_masks": "good"},
         "remembers normal references alone"),
        ((), {"reference_abnormal": "good"}, "--reference-abnormal needs --reference DIR beside it"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(run, parts, good, tmp_path, monkeypatch, methods, wanted, why) -> None:
    monkeypatch.chdir(tmp_path)
    picture(tmp_path / "others" / "bolt" / "a.png", 1)
    with pytest.raises(InputError, match=why):
        run(f"folder={parts}", *methods, **wanted)


def test_too_few_training_images_are_refused_by_class(run, with_training) -> None:
    with pytest.raises(
        InputError, match="the training part of class 'pcb1' of dataset 'mvtec' has 4 different"
    ):
        run(f"mvtec={with_training}", shots=5)


def test_what_was_given_stands_in_the_record(run, parts, good, tmp_path) -> None:
    found = run(f"folder={parts}:pcb1", reference=good, shots=1)
    options = found.evaluation.store.read_run().options
    assert (options["reference"], options["shots"], options["memory"]) == (str(good), 1, None)
