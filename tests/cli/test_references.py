from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.loading import load_detector

METHOD = ("--method", "nearest-neighbour", "--image-size", "64")


def picture(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def good(tmp_path: Path) -> Path:
    for seed in range(4):
        picture(tmp_path / "good" / f"{seed}.png", seed)
    return tmp_path / "good"


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    for seed in (10, 11):
        picture(tmp_path / "parts" / f"{seed}.png", seed)
    return tmp_path / "parts"


def test_new_parts_are_compared_with_good_ones(zsad, tiny, good, parts, tmp_path) -> None:
    words = ("predict", parts, *METHOD, "--backbone", tiny, "--out", tmp_path / "o", "--json")
    answer = zsad(*words, "--reference", good, "--shots", "2", "--seed", "1")
    assert answer.code == 0 and "2 normal references" in answer.err
    report = json.loads(answer.out)
    assert report["setting"] == "training-free / inductive / few-shot-normal"
    named = [entry["name"] for entry in report["references"]]
    assert len(named) == 2 and all(Path(name).parent == good for name in named)
    detector = load_detector("nearest-neighbour", backbone=tiny, image_size=64)
    detector.remember([Path(name) for name in named])
    expected = detector.predict(sorted(parts.iterdir())).score.tolist()
    assert [image["score"] for image in report["images"]] == pytest.approx(expected, abs=1e-6)

    more = zsad(*words, "--reference", good, "--seed", "1", "--resume")
    assert more.code == 2 and "references" in more.sentence  # of another request


def test_a_memory_gives_what_its_references_give(zsad, tiny, good, parts, tmp_path) -> None:
    kept = tmp_path / "kept.safetensors"
    shared = (*METHOD, "--backbone", tiny)
    written = zsad("remember", *shared, "--reference", good, "--out", kept, "--json")
    assert written.code == 0
    report = json.loads(written.out)
    assert report["written"] == str(kept) and [row["shots"] for row in report["classes"]] == [4]
    scores = []
    for given in (("--reference", good), ("--memory", kept)):
        answer = zsad("predict", parts, *shared, "--out", tmp_path / given[0][2:], "--json", *given)
        scores.append([image["score"] for image in json.loads(answer.out)["images"]])
    assert scores[0] == scores[1]


def test_a_class_has_its_own_folder(zsad, tiny, tmp_path, parts) -> None:
    for name in ("pcb1", "pcb2"):  # one noun
        picture(tmp_path / "good" / name / "a.png", len(name) + int(name[-1]))
    shared = (*METHOD, "--backbone", tiny)
    kept = tmp_path / "kept.safetensors"
    assert zsad("remember", *shared, "--reference", tmp_path / "good", "--out", kept).code == 0
    found = {}
    for name in ("pcb1", "pcb2"):
        for given in (("--reference", tmp_path / "good"), ("--memory", kept)):
            answer = zsad("predict", parts, *shared, "--out", tmp_path / f"o{len(found)}", "--json", *given,
                          "--class-name", name)  # fmt: skip
            assert answer.code == 0 and "changes nothing" not in answer.err
            found[name, given[0]] = json.loads(answer.out)["images"][0]["score"]
    assert found["pcb1", "--reference"] == found["pcb1", "--memory"] != found["pcb2", "--memory"]
    for given in (("--reference", tmp_path / "good"), ("--memory", kept)):
        answer = zsad("predict", parts, *shared, "--out", tmp_path / "o", *given, "--class-name", "pcb")
        assert answer.code == 2 and "pcb1, pcb2" in answer.sentence


def test_tiles_are_compared_with_tiles(zsad, tiny, good, parts, tmp_path) -> None:
    shared = (parts, *METHOD, "--backbone", tiny, "--json", "--tile", "30")
    answer = zsad("predict", *shared, "--out", tmp_path / "o", "--reference", good)
    assert answer.code == 0
    same = zsad("predict", *shared, "--out", tmp_path / "p", "--reference", parts.parent / "parts" / "10.png")
    assert same.code == 2 and "is among the references too" in same.sentence


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (METHOD, "method 'nearest-neighbour' needs reference images: give --reference DIR or --memory FILE"),
        (("--method", "winclip", "--reference", "good"), "method 'winclip' takes no reference images"),
        (("--method", "winclip", "--memory", "x.safetensors"), "takes no reference images (those that do: "),
        ((*METHOD, "--shots", "2"), "--shots needs --reference DIR beside it"),
        ((*METHOD, "--reference", "good", "--memory", "x"), "--memory stands in the place of --reference"),
        ((*METHOD, "--reference", "nowhere"), "cannot read 'nowhere'"),
        ((*METHOD, "--reference", "good", "--shots", "5"), "--shots 5: 'good' has 4 different images"),
        ((*METHOD, "--memory", "x", "--tile", "9"), "--memory holds whole images, and --tile cuts them"),
        ((*METHOD, "--reference", "good", "--reference-abnormal", "parts", "--reference-masks", "good"),
         "remembers normal references alone; leave --reference-abnormal out"),
        ((*METHOD, "--reference", "parts"), "'parts/10.png' is among the references too"),
        ((*METHOD, "--reference", "good", "--set", "reference_store=none"), "takes no reference images"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_a_backbone_is_loaded(
    zsad, good, parts, tmp_path, monkeypatch, words: tuple[str, ...], why: str
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = zsad("predict", "parts", "--backbone", "nobody:knows", "--out", "o", *words)
    assert answer.code == 2 and why in answer.sentence
    assert not (tmp_path / "o" / "predictions.json").exists()


def test_a_reference_of_a_memory_is_refused_as_a_test_image(zsad, tiny, good, tmp_path) -> None:
    kept, shared = tmp_path / "kept.safetensors", (*METHOD, "--backbone", tiny)
    zsad("remember", *shared, "--reference", good, "--out", kept)
    answer = zsad("predict", good / "0.png", *shared, "--memory", kept, "--out", tmp_path / "o")
    assert answer.code == 2 and "0.png' is among the references too" in answer.sentence


def test_a_broken_reference_is_named(zsad, tiny, good, parts, tmp_path) -> None:
    (good / "broken.png").write_text("no image")
    answer = zsad("predict", parts, *METHOD, "--backbone", tiny, "--reference", good, "--out", tmp_path / "o")
    assert answer.code == 2 and "broken.png" in answer.sentence
