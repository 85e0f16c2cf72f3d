"""``zsad calibrate``, and ``zsad predict`` with what it wrote."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import zsad as library
from tests.cli.conftest import TINY
from zsad.detect.calibration import Calibration, read_calibration
from zsad.detect.verdicts import Level
from zsad.errors import InputError

COUNT = 20
DETECTOR = ("--method", "clip-baseline", "--backbone", TINY)
GEAR = (*DETECTOR, "--class-name", "gear")
OVER_BATCH = "--method cops --untrained --set scorer.extent=batch"


def draw(folder: Path, count: int = COUNT, seed: int = 0, size: tuple[int, int] = (40, 50)) -> Path:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for number in range(count):
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(folder / f"{number:02}.png")
    return folder


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(tmp_path_factory.mktemp("parts") / "good")


@pytest.fixture(scope="module")
def file(good: Path) -> Path:
    """A calibration of the tiny backbone on gears."""
    path = good.parent / "calibration.json"
    library.calibrate("clip-baseline", good, path, backbone=TINY, class_name="gear")
    return path


def test_the_thresholds_are_those_of_the_scores_that_predict_gives(zsad, good, file, tmp_path) -> None:
    report = json.loads(zsad("predict", good, *DETECTOR, "--class-name", "gear", "--out", tmp_path / "o",
                             "--save-maps", "--json").out)  # fmt: skip
    scores = [entry["score"] for entry in report["images"]]
    peaks = [float(np.load(entry["map"]).max()) for entry in report["images"]]
    found = read_calibration(file)
    assert found.image.values == pytest.approx(scores, abs=1e-6)
    assert found.pixel.values == pytest.approx(peaks, abs=1e-6)
    assert found.image.threshold == pytest.approx(max(scores), abs=1e-6)  # the 20th of 20
    assert found.image.threshold > max(found.image.values) and found.pixel.threshold > max(found.pixel.values)
    assert found.image.scale == pytest.approx(np.std(scores, ddof=1), rel=1e-4)
    assert (found.rule, found.false_alarm, found.class_name) == ("conformal", 0.05, "gear")
    assert found.detector.recipe_hash == report["recipe_hash"] and len(found.good_parts) == COUNT


def test_command_and_function_write_the_same(zsad, good, file, tmp_path) -> None:
    answer = zsad(
        "calibrate", "--normals", good, *DETECTOR, "--class-name", "gear", "--out", tmp_path / "c.json"
    )
    assert answer.code == 0, answer.err
    assert (tmp_path / "c.json").read_bytes() == file.read_bytes()
    assert "at most 5 % of new ones are called anomalous" in answer.out
    assert "at most 5 % of new ones show a region" in answer.out
    answer = zsad("calibrate", "--normals", good, *GEAR, "--out", tmp_path / "c.json", "--json")
    written = json.loads(answer.out)
    assert written.pop("written") == str(tmp_path / "c.json")
    assert written == json.loads(file.read_text())


def judged(zsad, images: Path, file: Path, out: Path, *more: object) -> tuple[dict, str, str]:
    answer = zsad(
        "predict", images, *DETECTOR, "--class-name", "gear", "--threshold", file, "--out", out, *more
    )
    assert answer.code == 0, answer.err
    return json.loads((out / "predictions.json").read_text()), answer.out, answer.err


def lowered(file: Path, folder: Path, **levels: float) -> Path:
    """Return a calibration with other thresholds, so that some images pass them."""
    data = json.loads(file.read_text())
    for side, value in levels.items():
        data[side]["threshold"] = value
    path = folder / "lowered.json"
    path.write_text(json.dumps(data))
    return path


def test_verdicts_confidences_and_regions(zsad, file, tmp_path) -> None:
    images, found = draw(tmp_path / "new", 6, seed=1), read_calibration(file)
    middle = lowered(file, tmp_path, image=float(np.median(found.image.values)),
                     pixel=float(np.median(found.pixel.values)))  # fmt: skip
    report, out, err = judged(zsad, images, middle, tmp_path / "o", "--save-masks", "--save-maps")
    used = read_calibration(middle)
    assert {entry["decision"] for entry in report["images"]} == {"normal", "anomalous"}
    for entry, line in zip(report["images"], out.splitlines()[1:], strict=True):
        assert entry["decision"] == ("anomalous" if entry["score"] >= used.image.threshold else "normal")
        assert entry["confidence"] == used.image.level.confidence(entry["score"])
        assert entry["decision"] in line.split() and ("none" in line) == (not entry["regions"])
        reached = np.load(entry["map"]) >= np.float64(used.pixel.threshold)
        assert (np.asarray(Image.open(entry["mask"])) == 255).tolist() == reached.tolist()
        assert bool(entry["regions"]) == bool(reached.any())
        assert all(r["margin"] == r["peak"] - used.pixel.threshold >= 0 for r in entry["regions"])
    assert any(entry["regions"] for entry in report["images"])
    assert report["calibration"] == used.summary() and "among those" not in err
    with (tmp_path / "o" / "predictions.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["confidence"]) for row in rows] == [entry["confidence"] for entry in report["images"]]


def test_the_picture_shows_what_reaches_the_threshold_and_nothing_else(zsad, file, tmp_path) -> None:
    images, found = draw(tmp_path / "new", 4, seed=2), read_calibration(file)
    middle = lowered(file, tmp_path, pixel=float(np.median(found.pixel.values)))
    report, _, _ = judged(zsad, images, middle, tmp_path / "o", "--save-masks")
    changed = []
    for entry in report["images"]:
        before, after = (np.asarray(Image.open(entry[name])).astype(int) for name in ("path", "overlay"))
        mask = np.asarray(Image.open(entry["mask"])) > 0
        assert not np.abs(after - before)[~mask].any()
        changed.append(int(np.abs(after - before)[mask].sum()))
    assert any(changed)
    high = lowered(file, tmp_path, pixel=99.0)
    report, _, _ = judged(zsad, images, high, tmp_path / "p")
    for entry in report["images"]:  # a good part looks as it is
        assert np.array_equal(np.asarray(Image.open(entry["path"])), np.asarray(Image.open(entry["overlay"])))


def test_explanations_are_in_all_files_and_under_the_picture(zsad, file, tmp_path) -> None:
    images, out = draw(tmp_path / "new", 3, seed=3), tmp_path / "o"
    middle = lowered(file, tmp_path, pixel=float(np.median(read_calibration(file).pixel.values)))
    report, printed, _ = judged(zsad, images, middle, out, "--explain")
    for entry, line in zip(
        report["images"], (out / "predictions.jsonl").read_text().splitlines(), strict=True
    ):
        assert json.loads(line)["explanation"] == entry["explanation"]
        assert f"{entry['path']}: {entry['explanation']}" in printed.splitlines()
        assert entry["explanation"].startswith(f"{entry['decision']} (confidence ")
        assert f"{len(entry['regions'])} region" in entry["explanation"] or not entry["regions"]
        assert Image.open(entry["overlay"]).size[1] > Image.open(entry["path"]).size[1]
        assert all(("phrase" in region) == (place < 3) for place, region in enumerate(entry["regions"]))
    again, _, err = judged(zsad, images, middle, out, "--explain", "--resume")
    assert again == report and "3 of 3 images were finished already" in err


def test_without_text_nothing_is_named(zsad, tmp_path) -> None:
    images = draw(tmp_path / "new", 3, size=(40, 40))
    answer = zsad("predict", images, "--method", "musc", "--backbone", "timm:vit_tiny_patch16_224@random:0",
                  "--image-size", "64", "--pixel-threshold", "-1", "--explain", "--json",
                  "--out", tmp_path / "o")  # fmt: skip
    report = json.loads(answer.out)
    for entry in report["images"]:
        assert entry["regions"] and "phrase" not in entry["regions"][0]
        assert "unnamed" not in entry["explanation"] and "most like" not in entry["explanation"]
        assert entry["explanation"].startswith("no threshold set: the score is ")


def test_images_that_calibrated_are_named_as_such(zsad, good, file, tmp_path) -> None:
    report, _, err = judged(zsad, good, file, tmp_path / "o")
    assert "20 of 20 images are among those that the calibration was computed from" in err
    assert {entry["decision"] for entry in report["images"]} == {"normal"}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--class-name", "bolt"), "for the object 'gear', not for 'bolt'"),
        (("--class-name", "gear", "--image-size", "80"), r"for image size \d+, not for 80"),
        (
            ("--class-name", "gear", "--set", "scorer.temperature=0.5"),
            "for recipe [0-9a-f]{16}, not",
        ),
        (("--class-name", "gear", "--dtype", "bfloat16"), "for dtype float32, not for bfloat16"),
        (("--class-name", "gear", "--tile", "32"), "for tiles none, not for 32 px overlapping by 0.25"),
        (("--class-name", "gear", "--method", "winclip"), "for method 'clip-baseline', not for 'winclip'"),
        (
            ("--class-name", "gear", "--backbone", TINY.replace(":0", ":1")),
            r"for backbone '.+' \(.+\), not for '.+' \(.+\);",
        ),
    ],
)
def test_a_calibration_of_anything_else_is_refused(zsad, good, file, tmp_path, more, said) -> None:
    out = tmp_path / "o"
    given = (*DETECTOR[: 0 if "--method" in more else 2], *DETECTOR[2 : 2 if "--backbone" in more else 4])
    answer = zsad("predict", good, *given, *more, "--threshold", file, "--out", out)
    assert answer.code == 2
    assert re.search(said, answer.sentence) and "run zsad calibrate" in answer.sentence
    assert not (out / "predictions.json").exists()


def test_weights_are_bound_too(good, tmp_path) -> None:
    one, other = (
        library.calibrate("uniadet", good, backbone=TINY, untrained=True, seed=seed, rule="mean-3std")
        for seed in (0, 1)
    )
    with pytest.raises(InputError, match="holds for weights"):
        one.check(other.detector, "object", batch_size=8)
    one.check(one.detector, "object", batch_size=3)
    with pytest.raises(InputError, match="memory none, not for abc"):
        one.check(one.detector, "object", batch_size=8, memory="abc")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--false-alarm 0.04", "with 20 good parts a promise of 4 % cannot be made; 24 are needed"),
        ("--rule gamma-gmm", "gamma-gmm"),
        ("--rule mean-3std --false-alarm 0.1", "--false-alarm has no effect on --rule mean-3std"),
        ("--rule fixed --threshold 1", "--pixel-threshold is missing"),
        ("--threshold 1", "--threshold is what --rule conformal computes"),
        ("--rule fixed --threshold nan --pixel-threshold 1", "--threshold nan is no number"),
        ("--false-alarm 5", "give a share between 0 and 1"),
        ("--overlap 0.5", "give --tile N too"),
        ("--class-name _", "--class-name is empty"),
        ("--method musc", "--rule conformal: 'musc' scores an image by all others of the run"),
        (OVER_BATCH, "give --batch-size 1 here and to predict"),
        ("--out {photo}", "is no calibration"),
        ("--out {folder}", "name a file"),
    ],
)
def test_what_cannot_be_calibrated_is_one_sentence(zsad, good, photo, tmp_path, words, said) -> None:
    before = photo.read_bytes()
    given = words.format(photo=photo, folder=good).split()
    base = ["calibrate", "--normals", good, "--backbone", TINY]
    base += [] if "--method" in given else ["--method", "clip-baseline"]
    base += [] if "--out" in given else ["--out", tmp_path / "c.json"]
    answer = zsad(*base, *given)
    assert answer.code == 2 and said in answer.err, answer.err
    assert not (tmp_path / "c.json").exists() and photo.read_bytes() == before


def test_a_method_that_looks_at_a_batch_can_promise_one_by_one(zsad, good, file, tmp_path) -> None:
    words = (*OVER_BATCH.split(), "--backbone", TINY)
    path = tmp_path / "c.json"
    answer = zsad("calibrate", "--normals", good, *words, "--batch-size", 1, "--out", path)
    assert answer.code == 0, answer.err
    assert read_calibration(path).batch_size == 1
    answer = zsad("predict", good, *words, "--threshold", path, "--out", tmp_path / "o")
    assert answer.code == 2 and "for batches of 1, not for 8" in answer.sentence


def test_a_transductive_method_can_be_calibrated_without_a_promise(zsad, good, tmp_path) -> None:
    words = ("--method", "musc", "--backbone", TINY, "--rule", "quantile", "--out", tmp_path / "c.json")
    answer = zsad("calibrate", "--normals", good, *words)
    assert answer.code == 0 and "nothing is promised of new good parts" in answer.out
    assert "depend on the set" in answer.out


def test_copies_count_once_and_a_broken_image_is_named(zsad, good, tmp_path) -> None:
    folder = tmp_path / "good"
    folder.mkdir()
    for path in sorted(good.iterdir()):
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "copy.png").write_bytes((folder / "00.png").read_bytes())
    words = ("calibrate", "--normals", folder, *DETECTOR, "--out", tmp_path / "c.json")
    answer = zsad(*words)
    assert answer.code == 0 and "1 of 21 images are copies of others" in answer.err
    assert len(read_calibration(tmp_path / "c.json").good_parts) == COUNT
    (tmp_path / "c.json").unlink()
    (folder / "broken.png").write_text("no image")
    answer = zsad(*words)
    assert (
        answer.code == 2 and "broken.png" in answer.sentence and "take it out of --normals" in answer.sentence
    )
    assert not (tmp_path / "c.json").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "is no calibration as 'zsad calibrate' writes it"),
        ("no json", "is no calibration"),
        ("[1]", "is no calibration"),
    ],
)
def test_files_that_are_no_calibration_are_refused(zsad, photo, tmp_path, text, said) -> None:
    path = tmp_path / "c.json"
    path.write_text(text)
    answer = zsad("predict", photo, *DETECTOR, "--threshold", path, "--out", tmp_path / "o")
    assert answer.code == 2 and said in answer.sentence and "c.json" in answer.sentence


@pytest.mark.parametrize(("side", "field", "value"), [("image", "scale", 0), ("pixel", "threshold", "NaN")])
def test_damaged_calibrations_are_refused(file, tmp_path, side, field, value) -> None:
    data = json.loads(file.read_text())
    data[side][field] = float(value)
    path = tmp_path / "c.json"
    path.write_text(json.dumps(data))
    with pytest.raises(InputError, match=rf"{side}\.{field}"):
        read_calibration(path)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--threshold 0.5 --explain", "--explain needs a threshold of the map"),
        ("--explain", "--explain needs a threshold of the map"),
        ("--save-masks", "--save-masks needs a threshold of the map"),
        ("--threshold {file} --pixel-threshold 0.5", "has a threshold of the map already"),
        ("--threshold nothing.json", "neither a number nor a file"),
        ("--threshold inf", "--threshold inf is no number"),
        ("--pixel-threshold nan", "--pixel-threshold nan is no number"),
    ],
)
def test_thresholds_that_say_nothing_or_too_much_are_refused(
    zsad, photo, file, tmp_path, words, said
) -> None:
    answer = zsad("predict", photo, *DETECTOR, "--out", tmp_path / "o", *words.format(file=file).split())
    assert answer.code == 2 and said in answer.sentence


def test_a_prediction_is_judged_in_python(good, file) -> None:
    calibration, detector = read_calibration(file), library.load("clip-baseline", backbone=TINY)
    prediction = detector.predict([next(good.iterdir())], class_name="gear")
    verdict = calibration.image.level.verdict(float(prediction.score[0]))
    assert verdict.decision == "normal" and verdict.confidence is not None and verdict.confidence < 0.5
    assert calibration.image.level == Level(calibration.image.threshold, calibration.image.scale)
    assert Calibration.model_validate_json(file.read_bytes()) == calibration


NEAREST = ("--method", "nearest-neighbour", "--backbone", TINY, "--image-size", 64)


def test_references_among_the_good_parts_calibrate_nothing(zsad, good, tmp_path) -> None:
    path, given = tmp_path / "c.json", ("--reference", good, "--shots", 4)
    words = (*NEAREST, *given, "--rule", "quantile", "--false-alarm", "0.1", "--out", path)
    answer = zsad("calibrate", "--normals", good, *words)
    assert answer.code == 0, answer.err
    assert "4 of 20 good parts are references and calibrate nothing; 16 are left" in answer.err
    found = read_calibration(path)
    assert len(found.good_parts) == 16 and found.memory is not None
    assert min(found.image.values) > 1e-3  # an image that is compared with itself would score 0
    kept = tmp_path / "kept.safetensors"
    assert zsad("remember", *NEAREST, "--reference", good, "--shots", 4, "--out", kept).code == 0
    again = library.calibrate("nearest-neighbour", good, backbone=TINY, image_size=64, rule="quantile",
                              false_alarm=0.1, memory=kept)  # fmt: skip
    assert again.good_parts == found.good_parts and again.memory == found.memory
    assert again.image.values == pytest.approx(found.image.values, abs=1e-6)


def test_a_calibration_is_bound_to_its_references(zsad, good, tmp_path) -> None:
    path, new = tmp_path / "c.json", draw(tmp_path / "new", 2, seed=9)
    given = ("--reference", good, "--shots", 4)
    words = (*NEAREST, *given, "--rule", "quantile", "--out", path)
    assert zsad("calibrate", "--normals", good, *words).code == 0
    judged = ("predict", new, *NEAREST, "--threshold", path, "--out", tmp_path / "o")
    answer = zsad(*judged, *given)
    assert answer.code == 0 and "confidence" in answer.out, answer.err
    answer = zsad(*judged, *given, "--seed", 1)
    assert answer.code == 2 and "for memory " in answer.sentence


def test_too_few_good_parts_beside_the_references_are_refused(zsad, good, tmp_path) -> None:
    words = ("calibrate", "--normals", good, *NEAREST, "--out", tmp_path / "c.json", "--reference", good)
    answer = zsad(*words)
    assert answer.code == 2 and "no good part is left to calibrate with" in answer.sentence
    answer = zsad(*words, "--shots", 4)
    assert answer.code == 2 and "with 16 good parts a promise of 5 % cannot be made" in answer.sentence
    answer = zsad("calibrate", "--normals", good, *NEAREST, "--out", tmp_path / "c.json")
    assert answer.code == 2 and "needs reference images" in answer.sentence
    answer = zsad(*words[:-2], "--shots", 4)
    assert answer.code == 2 and "--shots needs --reference DIR beside it" in answer.sentence
