"""``zsad predict`` as a run: streamed, killed, resumed, and its files' names."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import TINY

CODE = "import sys; from zsad.cli.main import main; main(sys.argv[1:])"


def drawn(folder: Path, count: int = 6, size: tuple[int, int] = (40, 50)) -> Path:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(count):
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    return folder


def words(images: Path, out: Path, *more: object, method: str = "clip-baseline") -> list[str]:
    given = ["predict", images, "--method", method, "--backbone", TINY, "--out", out, "--save-maps", *more]
    return list(map(str, given))


def files(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir() if path.suffix in (".png", ".npy")}


def lines(out: Path) -> list[dict[str, object]]:
    path = out / "predictions.jsonl"
    whole = path.read_text().rpartition("\n")[0] if path.exists() else ""
    return [json.loads(line) for line in whole.splitlines()]


def answers(out: Path) -> list[tuple[str, float]]:
    report = json.loads((out / "predictions.json").read_text())
    return [(entry["path"], entry["score"]) for entry in report["images"]]


def killed(arguments: list[str], out: Path, when: Callable[[Path], bool]) -> None:
    with subprocess.Popen([sys.executable, "-c", CODE, *arguments], stderr=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL) as process:  # fmt: skip
        limit = time.monotonic() + 120
        while not when(out) and process.poll() is None and time.monotonic() < limit:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL, "it was not killed in the middle"


def test_the_files_of_a_run(zsad, tmp_path) -> None:
    images, out = drawn(tmp_path / "in"), tmp_path / "out"
    (images / "2.png").write_text("no image")
    answer = zsad(*words(images, out, "--threshold", "0.5", "--json"))
    assert answer.code == 1
    report = json.loads((out / "predictions.json").read_text())
    assert json.loads(answer.out) == report and report["complete"]
    assert sorted(lines(out), key=lambda entry: entry["path"]) == sorted(
        [*report["images"], *report["failed"]], key=lambda entry: entry["path"]
    )
    with (out / "predictions.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["path"], float(row["score"])) for row in rows[:-1]] == answers(out)
    assert list(rows[0]) == ["path", "score", "decision", "overlay", "map", "error", "mask", "regions",
                             "confidence", "explanation"]  # fmt: skip
    assert (
        rows[-1]["path"] == str(images / "2.png") and "2.png" in rows[-1]["error"] and rows[-1]["score"] == ""
    )
    assert [row["decision"] for row in rows[:-1]] == [
        "anomalous" if score >= 0.5 else "normal" for _, score in answers(out)
    ]


@pytest.mark.parametrize(
    ("count", "method"), [(0, "clip-baseline"), (1, "clip-baseline"), (7, "clip-baseline"), (3, "musc")]
)
def test_a_killed_run_goes_on(zsad, tmp_path, count, method) -> None:
    images = drawn(tmp_path / "in", 40, (400, 500))
    whole, out = tmp_path / "whole", tmp_path / "out"
    more = ("--batch-size", "3")
    assert zsad(*words(images, whole, *more, method=method)).code == 0

    def far_enough(out: Path) -> bool:
        return len(lines(out)) >= count if count else (out / "predictions.json").exists()

    killed(words(images, out, *more, method=method), out, far_enough)
    report = json.loads((out / "predictions.json").read_text())
    assert report["complete"] is False
    before, kept = files(out), lines(out)
    assert count <= len(kept) < 40
    for entry in kept:
        assert Path(entry["overlay"]).name in before and Path(entry["map"]).name in before
    times = {Path(entry["overlay"]): Path(entry["overlay"]).stat().st_mtime_ns for entry in kept}
    answer = zsad(*words(images, out, *more, "--resume", method=method))
    assert answer.code == 0, answer.err
    if method == "clip-baseline":
        assert (f"{len(kept)} of 40 images were finished already" in answer.err) is bool(kept)
        assert {path: path.stat().st_mtime_ns for path in times} == times
    assert answers(out) == answers(whole) and files(out) == files(whole)
    with (out / "predictions.csv").open() as one, (whole / "predictions.csv").open() as other:
        assert one.read() == other.read().replace(str(whole), str(out))
    assert len(lines(out)) == 40 and json.loads((out / "predictions.json").read_text())["complete"]
    assert zsad(*words(images, out, *more, "--resume", method=method)).code == 0
    assert answers(out) == answers(whole)


def test_what_is_lacking_or_cut_off_is_made_again(zsad, tmp_path) -> None:
    images, out = drawn(tmp_path / "in"), tmp_path / "out"
    (images / "5.png").write_text("no image")
    assert zsad(*words(images, out)).code == 1
    whole, before = answers(out), files(out)
    Image.open(images / "0.png").save(images / "5.png")
    (out / "1_overlay.png").unlink()
    journal = out / "predictions.jsonl"
    held = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(held[0] + held[1] + b"\xff{\n" + held[2] + held[3][:-20])
    answer = zsad(*words(images, out, "--resume"))
    assert answer.code == 0 and "1 of 6 images were finished already" in answer.err
    assert answers(out)[:5] == whole and len(answers(out)) == 6
    assert {name: content for name, content in files(out).items() if name in before} == before


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--class-name", "nut"], "class_name was 'object', and is 'nut' now"),
        (["--batch-size", "2"], "batch_size was 8, and is 2 now"),
        (["--threshold", "0.5"], "threshold was None, and is 0.5 now"),
        (["--set", "scorer.temperature=0.5"], "recipe was "),
        (["EXTRA"], "other images were given"),
    ],
)
def test_another_request_is_refused(zsad, photo, tmp_path, more, said) -> None:
    images, out = drawn(tmp_path / "in", 2), tmp_path / "out"
    assert zsad(*words(images, out)).code == 0
    before = {path: path.read_bytes() for path in out.iterdir()}
    answer = zsad(*words(images, out, "--resume", *(photo if word == "EXTRA" else word for word in more)))
    assert answer.code == 2
    assert f"--resume: {out} holds a run of another request ({said}" in answer.sentence
    assert "leave --resume out" in answer.sentence
    assert {path: path.read_bytes() for path in out.iterdir()} == before


def test_an_image_that_changed_is_refused(zsad, tmp_path) -> None:
    images, out = drawn(tmp_path / "in", 2), tmp_path / "out"
    assert zsad(*words(images, out)).code == 0
    Image.new("RGB", (40, 50)).save(images / "1.png")
    answer = zsad(*words(images, out, "--resume"))
    assert answer.code == 2
    assert f"--resume: '{images / '1.png'}' has changed since it was scored" in answer.sentence
    assert zsad(*words(images, out)).code == 0


def test_a_folder_that_holds_no_readable_run_is_refused(zsad, tmp_path) -> None:
    images, out = drawn(tmp_path / "in", 2), tmp_path / "out"
    assert zsad(*words(images, out, "--resume")).code == 0  # nothing there: it begins
    (out / "predictions.json").write_text("{")
    answer = zsad(*words(images, out, "--resume"))
    assert answer.code == 2 and "predictions.json does not say what was asked for" in answer.sentence


def test_two_runs_do_not_share_a_folder(zsad, tmp_path) -> None:
    from zsad.claim import claimed

    images, out = drawn(tmp_path / "in", 2), tmp_path / "out"
    with claimed(out, "predicting into"):
        answer = zsad(*words(images, out))
    assert answer.code == 2 and "another run is predicting into this folder" in answer.sentence
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_a_threshold_that_is_no_score_is_refused_at_once(zsad, tmp_path, value) -> None:
    images, out = drawn(tmp_path / "in", 1), tmp_path / "out"
    answer = zsad(*words(images, out, f"--threshold={value}"))
    assert answer.code == 2 and f"--threshold {value} is no number" in answer.sentence and not out.exists()


def test_no_two_images_write_to_one_file(zsad, tmp_path) -> None:
    images, out = tmp_path / "in", tmp_path / "out"
    rng = np.random.default_rng(0)
    long = "x" * 242
    names = (
        "a-2.png",
        "a.jpg",
        "a.png",
        "sub/a.png",
        "sub/A.png",
        f"{long}.png",
        f"{long}.bmp",
        "b\udce4d.png",
    )
    for name in names:
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
        with (images / name).open("wb") as stream:
            kind = {".jpg": "JPEG", ".bmp": "BMP"}.get(Path(name).suffix, "PNG")
            Image.fromarray(pixels).save(stream, format=kind)
    process = subprocess.run(
        [sys.executable, "-c", CODE, *words(images, out)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONIOENCODING": "utf-8:backslashreplace"},
        check=False,
    )
    assert process.returncode == 0, process.stderr
    report = json.loads((out / "predictions.json").read_text())
    assert len(report["images"]) == len(names)
    for kind in ("overlay", "map"):
        written = {Path(entry[kind]).name.casefold() for entry in report["images"]}
        assert len(written) == len(names) and written <= {path.name.casefold() for path in out.iterdir()}
    maps = {np.load(entry["map"]).tobytes() for entry in report["images"]}
    assert len(maps) == len(names)


def test_regions_and_masks_are_those_of_the_map(zsad, tmp_path) -> None:
    images, out = drawn(tmp_path / "in", 3), tmp_path / "out"
    plain = tmp_path / "plain"
    assert zsad(*words(images, plain)).code == 0
    level = float(np.median(np.load(next(plain.glob("*_map.npy")))))
    assert zsad(*words(images, out, "--pixel-threshold", level, "--save-masks")).code == 0
    report = json.loads((out / "predictions.json").read_text())
    assert report["pixel_threshold"] == level
    with (out / "predictions.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    found = 0
    for entry, row in zip(report["images"], rows, strict=True):
        mask, reached = np.asarray(Image.open(entry["mask"])), np.load(entry["map"]) >= level
        assert mask.dtype == np.uint8 and np.array_equal(mask, reached * 255)
        boxed = np.zeros_like(reached)
        for region in entry["regions"]:
            left, top, right, bottom = region["box"]
            boxed[top:bottom, left:right] = True
        assert boxed[reached].all() and row["mask"] == entry["mask"]
        assert int(row["regions"]) == len(entry["regions"])
        assert sum(region["area_share"] for region in entry["regions"]) == pytest.approx(reached.mean())
        found += len(entry["regions"])
    assert found
    Path(report["images"][1]["mask"]).unlink()  # a file that is gone is made again
    again = zsad(*words(images, out, "--pixel-threshold", level, "--save-masks", "--resume"))
    assert again.code == 0 and "2 of 3 images were finished already" in again.err
    assert Path(report["images"][1]["mask"]).is_file()
    other = zsad(*words(images, out, "--pixel-threshold", level + 1, "--save-masks", "--resume"))
    assert other.code == 2 and "pixel_threshold was" in other.err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--save-masks"], "--save-masks needs a threshold of the map"),
        (["--pixel-threshold", "nan"], "--pixel-threshold nan is no number"),
    ],
)
def test_a_mask_needs_a_value_of_the_map(zsad, tmp_path, given, said) -> None:
    answer = zsad(*words(drawn(tmp_path / "in", 1), tmp_path / "out", *given))
    assert answer.code == 2 and said in answer.err and not (tmp_path / "out").exists()


@pytest.mark.parametrize("method", ["musc", "clip-baseline"])
def test_pixels_do_not_wait_for_the_end(zsad, tmp_path, monkeypatch, method) -> None:
    from zsad.detect import predictions, result_files

    images, out = drawn(tmp_path / "in", 30), tmp_path / "out"
    read_image, alive, highest = predictions.read_image, [], []

    def watched(path):
        pixels = read_image(path)
        highest.append(sum(each() is not None for each in alive))
        alive.append(weakref.ref(pixels))
        return pixels

    monkeypatch.setattr(predictions, "read_image", watched)
    assert zsad(*words(images, out, "--batch-size", "2", method=method)).code == 0
    assert len(alive) == (60 if method == "musc" else 30)
    if method == "musc":  # until the class is complete, a batch and no more
        assert max(highest[:30]) <= 4
    assert max(highest) <= 2 * 2 + result_files.WAITING + 2
    assert len(lines(out)) == 30


def test_a_picture_is_of_the_image_that_was_scored(zsad, tmp_path, monkeypatch) -> None:
    from zsad.detect.detector import Detector

    images, out = drawn(tmp_path / "in", 3), tmp_path / "out"
    finish = Detector.finish

    def changed(self, scope):
        Image.new("RGB", (9, 9)).save(images / "1.png")
        return finish(self, scope)

    monkeypatch.setattr(Detector, "finish", changed)
    answer = zsad(*words(images, out, method="musc"))
    assert answer.code == 1 and f"'{images / '1.png'}' has changed while it was scored" in answer.err
    assert [Path(path).name for path, _ in answers(out)] == ["0.png", "2.png"]
