from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.loading import load_detector


def test_writes_scores_overlay_and_native_map(zsad, tiny, photo, tmp_path) -> None:
    out = tmp_path / "out"
    answer = zsad("predict", photo, "--method", "clip-baseline", "--backbone", tiny, "--out", out,
                  "--save-maps", "--json", "--class-name", "gear")  # fmt: skip
    assert answer.code == 0
    report = json.loads(answer.out)
    (image,) = report["images"]
    prediction = load_detector("clip-baseline", backbone=tiny).predict([photo], "gear")
    assert image["score"] == pytest.approx(float(prediction.score[0]), abs=1e-6)
    assert image["decision"] == "no threshold set"
    anomaly_map = np.load(image["map"])
    assert anomaly_map.dtype == np.float32 and anomaly_map.shape == (70, 90)
    assert Image.open(image["overlay"]).size == (90, 70)
    assert report["complete"] and json.loads((out / "predictions.json").read_text()) == report
    assert report["setting"] == "training-free / inductive / zero-shot"
    assert report["recipe_hash"] in answer.err


def test_threshold_decides(zsad, tiny, photo, tmp_path) -> None:
    words = (
        "predict",
        photo,
        "--method",
        "clip-baseline",
        "--backbone",
        tiny,
        "--out",
        tmp_path / "o",
        "--json",
    )
    for threshold, decision in ((-1, "anomalous"), (2, "normal")):
        report = json.loads(zsad(*words, "--threshold", threshold).out)
        assert report["images"][0]["decision"] == decision


def test_unreadable_image_is_named_and_the_rest_goes_on(zsad, tiny, photo, tmp_path) -> None:
    (tmp_path / "broken.png").write_text("no image")
    Image.open(photo).save(tmp_path / "z.png")
    answer = zsad("predict", tmp_path, "--method", "clip-baseline", "--backbone", tiny, "--out",
                  tmp_path / "o", "--batch-size", "1", "--json")  # fmt: skip
    assert answer.code == 1
    report = json.loads(answer.out)
    assert [Path(entry["path"]).name for entry in report["images"]] == ["photo.png", "z.png"]
    assert [Path(entry["path"]).name for entry in report["failed"]] == ["broken.png"]
    assert "broken.png" in answer.err and "1 of 3 images could not be read" in answer.err


def test_only_unreadable_images_is_wrong_input(zsad, tiny, tmp_path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_text("no image")
    answer = zsad("predict", bad, "--method", "clip-baseline", "--backbone", tiny, "--out", tmp_path / "o")
    assert answer.code == 2 and f"cannot read '{bad}'" in answer.sentence
    (tmp_path / "worse.png").write_text("nor this")
    answer = zsad("predict", tmp_path, "--method", "clip-baseline", "--backbone", tiny, "--out",
                  tmp_path / "p")  # fmt: skip
    errors = [line for line in answer.err.splitlines() if line.startswith("error: ")]
    assert answer.code == 2 and errors[2:] == ["error: none of the 2 images could be read"]
    assert "bad.png" in errors[0] and "worse.png" in errors[1]


def test_same_stem_does_not_overwrite(zsad, tiny, photo, tmp_path) -> None:
    other = tmp_path / "other" / "photo.png"
    other.parent.mkdir()
    Image.open(photo).save(other)
    answer = zsad("predict", photo, other, "--method", "clip-baseline", "--backbone", tiny, "--out",
                  tmp_path / "o", "--json")  # fmt: skip
    overlays = {image["overlay"] for image in json.loads(answer.out)["images"]}
    assert len(overlays) == 2


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("--method clip-baselin --backbone TINY", ["'clip-baselin'", "'clip-baseline'"]),
        ("--method anomalyclip --backbone TINY", ["--weights", "--untrained", "prompt_learner"]),
        ("--method clip-baseline --backbone ViT-B-61@random:0", ["'ViT-B-16'"]),
        ("--method clip-baseline --backbone ViT-B-16", ["ViT-B-16:openai"]),
        ("--method clip-baseline --backbone ViT-B-16@/no/file", ["/no/file"]),
        ("--method clip-baseline --backbone TINY --image-size 100", ["96", "104"]),
        (
            "--method clip-baseline --backbone TINY --set scorer=winclip.anomaly",
            ["'window_tokens'", ".windows"],
        ),
        ("--method clip-baseline --backbone TINY --set scorer.temprature=1", ["'temperature'"]),
        ("--method clip-baseline --backbone TINY --set scorer=no.part", ["'no.part'"]),
        (
            "--method anomalyclip --backbone TINY --untrained --normal-prompt x",
            ["learned; aa-clip, adaclip, aprilgan, clip-baseline, pa-clip, winclip take them"],
        ),
        (
            "--method clip-baseline --normal-prompt x --set prompt_learner.normal_prompts=[y]",
            ["--normal-prompt and --set prompt_learner.normal_prompts=[y] say the same thing"],
        ),
        (
            "--method clip-baseline --image-size 80 --set image_size=96",
            ["--image-size and --set image_size=96 say the same thing"],
        ),
        ("--method clip-baseline --set training.epochs=2", ["training.epochs=2: 'training' has no effect"]),
        ("--method clip-baseline --set generator.area=1", ["generator.area=1: 'generator' has no effect"]),
        ("--method clip-baseline --set examples.clean=0", ["examples.clean=0: 'examples' has no effect"]),
        ("--method clip-baseline --set adapter.rank=2", ["adapter.rank=2: 'adapter' has no effect here"]),
        ("--method clip-baseline --weights scoer=x", ["'scoer' is no part", "'scorer'"]),
        ("--method clip-baseline --backbone TINY --dtype float8", ["float8", "float32"]),
        ("--method clip-baseline --backbone TINY --device tpu", ["tpu", "cpu"]),
        ("--method clip-baseline --backbone TINY --weights a --weights b", ["--weights"]),
        ("--backbone TINY", ["--method"]),
    ],
)
def test_bad_input_is_one_sentence(zsad, tiny, photo, tmp_path, line: str, parts: list[str]) -> None:
    words = [tiny if word == "TINY" else word for word in line.split()]
    answer = zsad("predict", photo, "--out", tmp_path / "o", *words)
    assert answer.code == 2
    assert all(part in answer.sentence for part in parts), answer.sentence
    assert not (tmp_path / "o" / "predictions.json").exists()


def test_read_only_output(zsad, tiny, photo, public_path, unprivileged) -> None:
    folder = public_path / "locked"
    folder.mkdir(mode=0o555)
    readable = public_path / "photo.png"
    readable.write_bytes(photo.read_bytes())
    with unprivileged():
        answer = zsad("predict", readable, "--method", "clip-baseline", "--backbone", tiny, "--out", folder)
    assert answer.code == 1
    assert str(folder) in answer.sentence and "permission denied" in answer.sentence


def test_own_prompts_change_the_answer(zsad, tiny, photo, tmp_path) -> None:
    words = (
        "predict",
        photo,
        "--method",
        "clip-baseline",
        "--backbone",
        tiny,
        "--out",
        tmp_path / "o",
        "--json",
    )
    plain = json.loads(zsad(*words).out)
    own = json.loads(zsad(*words, "--normal-prompt", "a clean {}", "--abnormal-prompt", "a dirty {}").out)
    assert own["images"][0]["score"] != plain["images"][0]["score"]
    assert own["fidelity"] == "composed" and plain["fidelity"] == "inspired"
    assert own["recipe_hash"] != plain["recipe_hash"]


def test_words_that_mini_does_not_know_are_said(zsad, photo, tmp_path) -> None:
    answer = zsad("predict", photo, "--method", "clip-baseline", "--backbone", "mini", "--out", tmp_path,
                  "--abnormal-prompt", "a gougd {}", "--abnormal-prompt", "{} with zyzzyva")  # fmt: skip
    assert answer.code == 0, answer.err
    said = [line for line in answer.err.splitlines() if "does not know" in line]
    assert said == [
        "warning: the backbone mini does not know 'gougd'; it reads 'gouged'",
        "warning: the backbone mini does not know 'zyzzyva': such words say nothing to it; use other words, "
        "or a CLIP backbone",
    ]


def test_own_prompts_go_to_the_prompt_learner_that_is_chosen(zsad, tiny, photo, tmp_path) -> None:
    words = ("predict", photo, "--method", "anomalyclip", "--backbone", tiny, "--json", "--out", tmp_path,
             "--set", "prompt_learner=standard.templates", "--normal-prompt", "a clean {}")  # fmt: skip
    answer = zsad(*words)
    assert answer.code == 0, answer.err
    (learner,) = [p for p in json.loads(answer.out)["recipe"]["parts"] if p["kind"] == "prompt_learner"]
    assert learner["options"]["normal_prompts"] == ["a clean {}"]


def test_third_party_post_processor(zsad, zsad_invert, tiny, photo, tmp_path) -> None:
    words = ("predict", photo, "--method", "clip-baseline", "--backbone", tiny, "--json", "--save-maps")
    plain = json.loads(zsad(*words, "--out", tmp_path / "a").out)
    answer = zsad(*words, "--out", tmp_path / "b", "--set", "post_processors+=invert.invert")
    inverted = json.loads(answer.out)
    assert inverted["fidelity"] == "composed"
    assert inverted["recipe"]["parts"][-1] == {
        "kind": "post_processors", "use": "invert.invert", "options": {"strength": 1.0},
    }  # fmt: skip
    before, after = (np.load(run["images"][0]["map"]) for run in (plain, inverted))
    # Upside down: what the map gains in one place it loses in the other.
    np.testing.assert_allclose(before + after, (before + after)[0, 0], atol=1e-5)
    assert np.ptp(before) > 1e-4


def test_interrupt_keeps_finished_images(tiny, photo, tmp_path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(400):
        Image.open(photo).resize((900, 700)).save(folder / f"{number:03}.png")
    out = tmp_path / "out"
    options = f"--method clip-baseline --backbone {tiny} --out {out} --batch-size 1".split()
    program = "from zsad.cli.main import main; main()"
    command = [sys.executable, "-c", program, "predict", str(folder), *options]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ
    )
    limit = time.monotonic() + 120
    while not list(out.glob("*_overlay.png")) and time.monotonic() < limit and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "interrupted" and "Traceback" not in err
    report = json.loads((out / "predictions.json").read_text())
    written = sorted(path.name for path in out.iterdir() if path.suffix == ".png")
    assert not report["complete"] and 0 < len(written) < 400
    assert {Path(entry["overlay"]).name for entry in report["images"]} <= set(written)
    assert len(written) - len(report["images"]) <= 1 and not list(out.glob(".*"))


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("--image-size", 100_000), "--image-size \\d+ or less"),
        (("--set", "image_size=0"), "image_size"),
        (("--set", "image_size=-64"), "image_size"),
        (("--seed", 99999999999999999999), "--seed 99999999999999999999: give a whole number from 0 to"),
        (("--seed", -1), "--seed -1: give a whole number from 0 to"),
        (("--set", "post_processors.gaussian.sigma=1e9"), "sigma"),
        (("--class-name", ""), "--class-name"),
        (("--class-name", "  "), "--class-name"),
        (("--normal-prompt", " "), "--normal-prompt"),
        (("--set", "prompt_learner.abnormal_prompts=['']"), "abnormal_prompts"),
    ],
)
def test_numbers_and_words_out_of_range(zsad, tiny, photo, tmp_path, words, part) -> None:
    method = "anomalyclip" if "gaussian" in str(words) else "clip-baseline"
    answer = zsad(
        "predict",
        photo,
        "--method",
        method,
        "--untrained",
        "--backbone",
        tiny,
        "--out",
        tmp_path / "o",
        *words,
    )
    assert answer.code == 2 and re.search(part, answer.sentence), answer.err
    assert not (tmp_path / "o" / "predictions.json").exists()


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_seeds_are_refused_alike_everywhere(zsad, tiny, photo, tmp_path, seed) -> None:
    common = ("--method", "clip-baseline", "--backbone", tiny, "--seed", seed)
    sentence = f"--seed {seed}: give a whole number from 0 to {2**63 - 1}"
    for words in (
        ("predict", photo, *common),
        ("eval", *common, "--data", f"folder={tmp_path}", "--out", tmp_path / "e"),
        ("train", *common, "--data", f"folder={tmp_path}", "--out", tmp_path / "t"),
        ("bench", "methods", *common),
        ("bench", "train", *common),
    ):
        answer = zsad(*words)
        assert answer.code == 2 and sentence in answer.sentence, words


@pytest.mark.parametrize(("method", "said"), [("anomalyclip", True), ("clip-baseline", False)])
def test_a_noun_that_nothing_reads_is_told(zsad, tiny, photo, tmp_path, method, said) -> None:
    words = ("predict", photo, "--method", method, "--untrained", "--backbone", tiny, "--out", tmp_path / "o")
    answer = zsad(*words, "--class-name", "metal nut")
    line = f"--class-name metal nut changes nothing: method '{method}' reads no object noun"
    assert answer.code == 0 and (line in answer.err.splitlines()) == said
    assert "--class-name" not in zsad(*words).err


def _score(zsad, tiny, photo, out, *more):
    answer = zsad(
        "predict", photo, "--method", "clip-baseline", "--backbone", tiny, "--out", out, "--json", *more
    )
    assert answer.code == 0, answer.err
    return json.loads(answer.out)


def test_underscores_in_a_noun_are_spaces_as_in_eval(zsad, tiny, photo, tmp_path) -> None:
    plain, written = (_score(zsad, tiny, photo, tmp_path, "--class-name", name)
                      for name in ("metal nut", "metal_nut"))  # fmt: skip
    assert plain == written and plain["class_name"] == "metal nut"
    assert _score(zsad, tiny, photo, tmp_path)["images"][0]["score"] != plain["images"][0]["score"]
    detector = load_detector("clip-baseline", backbone=tiny)
    scores = [float(detector.predict([photo], name).score[0]) for name in ("metal nut", "metal_nut")]
    assert scores[0] == scores[1]


def test_sentences_come_from_a_file_too(zsad, tiny, photo, tmp_path) -> None:
    file = tmp_path / "words.txt"
    file.write_text("\ufeff# our own\n\na dirty {}\n a scratched {} \n", encoding="utf-8")
    given = _score(zsad, tiny, photo, tmp_path, "--abnormal-prompt", "a dirty {}", "--abnormal-prompt",
                   "a scratched {}")  # fmt: skip
    read = _score(zsad, tiny, photo, tmp_path, f"--abnormal-prompt=@{file}")
    assert read["images"] == given["images"] and read["recipe_hash"] == given["recipe_hash"]


def test_no_overlay_where_none_is_wanted(zsad, tiny, photo, tmp_path) -> None:
    report = _score(zsad, tiny, photo, tmp_path / "o", "--no-overlay", "--save-maps")
    assert set(report["images"][0]) == {"path", "score", "map", "decision", "content"}
    records = ["predictions.csv", "predictions.json", "predictions.jsonl"]
    assert sorted(path.name for path in (tmp_path / "o").iterdir()) == ["photo_map.npy", *records]


def test_a_home_folder_is_found_where_the_shell_leaves_it(zsad, tiny, photo, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    _score(zsad, tiny, photo, "~/results")
    assert (tmp_path / "home" / "results" / "predictions.json").is_file()
    assert not (tmp_path / "~").exists()


def test_a_second_run_in_a_folder_scores_the_same_images(zsad, tiny, photo, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.open(photo).rotate(90, expand=True).save(tmp_path / "other.jpg")
    words = ("predict", ".", "--method", "musc", "--backbone", tiny, "--json", "--save-maps")
    former = zsad(*words)
    assert "left out" not in former.err
    scores = [(image["path"], image["score"]) for image in json.loads(former.out)["images"]]
    assert [path for path, _ in scores] == ["other.jpg", "photo.png"]
    for out, left in (("zsad-predictions", 7), ("again", 7), (".", 14), (".", 21)):
        answer = zsad(*words, "--out", out)
        assert answer.code == 0, answer.err
        assert [(image["path"], image["score"]) for image in json.loads(answer.out)["images"]] == scores
        assert f"left out: {left}, because" in answer.err


def test_an_empty_name_is_not_the_current_folder(zsad, tiny, photo, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    answer = zsad("predict", "", "--method", "clip-baseline", "--backbone", tiny)
    assert answer.code == 2 and "it is empty; name a file or a folder" in answer.sentence
    assert not (tmp_path / "zsad-predictions").exists()


def test_images_may_keep_their_aspect(zsad, tiny, photo, tmp_path) -> None:
    upright = tmp_path / "upright.png"
    Image.open(photo).rotate(90, expand=True).save(upright)
    words = ("--method", "clip-baseline", "--backbone", tiny, "--set", "profile.image_resize=short-side")
    both = zsad("predict", photo, upright, *words, "--save-maps", "--out", tmp_path / "both", "--json")
    assert both.code == 0, both.err
    report = json.loads(both.out)
    assert report["recipe"]["profile"]["image_resize"] == "short-side"
    assert "at 64 px on the short side, recipe" in both.err
    for entry, path, shape in zip(report["images"], (photo, upright), ((70, 90), (90, 70)), strict=True):
        assert entry["path"] == str(path)
        alone = zsad("predict", path, *words, "--save-maps", "--out", tmp_path / path.stem, "--json")
        (single,) = json.loads(alone.out)["images"]
        assert entry["score"] == pytest.approx(single["score"], abs=1e-6)
        maps = [np.load(each["map"]) for each in (entry, single)]
        assert maps[0].shape == shape
        np.testing.assert_allclose(maps[0], maps[1], atol=1e-6)


def test_what_cannot_keep_the_aspect_is_refused(zsad, tiny, photo, tmp_path) -> None:
    upright = tmp_path / "upright.png"
    Image.open(photo).rotate(90, expand=True).save(upright)
    short = ("--set", "profile.image_resize=short-side", "--backbone", tiny, "--out", tmp_path / "out")
    compared = zsad("predict", photo, upright, "--method", "musc", *short)
    assert compared.code == 2
    assert "takes them of one shape; one of 64 x 82 pixels came after others" in compared.sentence
    assert compared.sentence.endswith("use --set profile.image_resize=squash")
    square = zsad("predict", photo, "--method", "visualad", "--untrained", *short)
    assert square.code == 2 and "'square_input'" in square.sentence
    assert square.sentence.endswith("use --set profile.image_resize=squash")
    learned = zsad("predict", photo, "--method", "anomalyclip", *short[:2], "--out", tmp_path / "out")
    assert learned.code == 2
    assert (
        "image resize 'squash', this run uses 'short-side'; use --set profile.image_resize=squash"
        in learned.sentence
    )
