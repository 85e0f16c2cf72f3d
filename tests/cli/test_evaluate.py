"""``zsad eval`` and ``zsad report``, also killed, interrupted and given what cannot be used."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file

from tests.cli.conftest import TINY
from tests.evaluation.drawing import draw
from zsad.cli.common import method_weights
from zsad.errors import InputError

CLASSES = ("bolt", "gear", "nut", "ring", "screw", "washer")


def words(data: Path, out: Path, *more: object, methods: Sequence[str] = ("clip-baseline",)) -> list[str]:
    given = [word for name in methods for word in ("--method", name)]
    return ["eval", *given, "--data", f"folder={data}", "--backbone", TINY, "--out", str(out),
            "--workers", "0", *map(str, more)]  # fmt: skip


def table(out: Path) -> list[dict[str, str]]:
    with (out / "summary.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def cell_bytes(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (out / "cells").glob("*.json")}


def start(arguments: list[str], out: Path, enough: Callable[[Path], bool]) -> subprocess.Popen[str]:
    """Start ``zsad`` in a process group of its own and wait until it has got far enough."""
    code = "import sys; from zsad.cli.main import main; main(sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not enough(out) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    return process


def one_cell(out: Path) -> bool:
    return any(out.glob("cells/*.json"))


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    return draw(tmp_path / "parts")


def test_table_files_and_json(zsad, parts, tmp_path) -> None:
    answer = zsad(*words(parts, tmp_path / "out", methods=("clip-baseline", "clip-baseline@vv")))
    assert answer.code == 0
    assert "4 cells, 12 image passes (one method at a time would take 24)" in answer.err
    lines = answer.out.splitlines()
    assert lines[0].split() == ["method", "dataset", "class", "n_normal", "n_anomalous", "image_auroc",
                                "image_ap", "image_f1_max", "pixel_auroc", "pixel_ap", "pixel_f1_max",
                                "aupro"]  # fmt: skip
    assert [line.split()[2] for line in lines[1:]] == ["gear", "screw", "mean"] * 2
    rows = json.loads(zsad(*words(parts, tmp_path / "json", "--json")).out)
    for row, written in zip(rows, table(tmp_path / "out"), strict=False):
        assert f"{row['image_auroc']!r}" == written["image_auroc"]
    options = json.loads((tmp_path / "out" / "run.json").read_text())["options"]
    assert options["methods"] == ["clip-baseline", "clip-baseline@vv"] and options["seed"] == 0
    (tmp_path / "out" / "report.html").unlink()
    assert zsad("report", tmp_path / "out").out.strip() == str(tmp_path / "out" / "report.html")
    assert (tmp_path / "out" / "report.html").is_file()


def test_a_killed_run_is_resumed(zsad, tmp_path) -> None:
    data = draw(tmp_path / "parts", CLASSES, normal=4, anomalous=4)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert zsad(*words(data, whole)).code == 0
    process = start(words(data, killed, "--workers", "1"), killed, one_cell)
    process.kill()
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    before = cell_bytes(killed)
    assert 1 <= len(before) < len(CLASSES), "the process was not killed in the middle"
    refused = zsad(*words(data, killed))
    assert refused.code == 2 and "add --resume" in refused.sentence
    answer = zsad(*words(data, killed, "--resume"))
    assert answer.code == 0 and f"{len(before)} of 6 cells were finished already" in answer.err
    after = cell_bytes(killed)
    assert {name: after[name] for name in before} == before and len(after) == 6
    assert (killed / "summary.csv").read_bytes() == (whole / "summary.csv").read_bytes()
    assert json.loads((killed / "run.json").read_text())["complete"] is True
    assert not list(killed.rglob("*.tmp"))


def test_two_evaluations_do_not_share_a_folder(zsad, tmp_path) -> None:
    data, out = draw(tmp_path / "parts", CLASSES, normal=4, anomalous=4), tmp_path / "out"
    process = start(words(data, out, "--workers", "1"), out, one_cell)
    try:
        os.kill(process.pid, signal.SIGSTOP)
        refused = zsad(*words(data, out, "--resume", methods=("clip-baseline@vv",)))
        assert refused.code == 2
        assert (
            f"--out {out}: another run is evaluating into this folder; wait for its end" in refused.sentence
        )
    finally:
        os.kill(process.pid, signal.SIGCONT)
    process.communicate(timeout=60)
    assert process.returncode == 0
    before = cell_bytes(out)
    answer = zsad(*words(data, out, "--resume", methods=("clip-baseline@vv",)))
    assert answer.code == 0, answer.err
    assert {name: content for name, content in cell_bytes(out).items() if name in before} == before
    rows = table(out)
    assert [row["method"] for row in rows] == ["clip-baseline"] * 7 + ["clip-baseline@vv"] * 7
    printed = [line.split()[0] for line in answer.out.splitlines()[1:]]
    assert printed.count("clip-baseline") == printed.count("clip-baseline@vv") == 7


def test_a_class_that_a_method_cannot_answer_is_said_and_the_rest_goes_on(zsad, parts, tmp_path) -> None:
    for path in [*(parts / "gear" / "good").iterdir(), *sorted((parts / "gear" / "scratch").iterdir())[1:]]:
        path.unlink()
        (parts / "gear" / "masks" / "scratch" / path.name).unlink(missing_ok=True)
    out = tmp_path / "out"
    answer = zsad(*words(parts, out, "--metrics", "pixel_ap", methods=("musc", "clip-baseline")))
    assert answer.code == 1
    first, last = [line for line in answer.err.splitlines() if line.startswith("error: ")]
    assert first.startswith("error: musc on parts (gear): musc.mutual compares the images")
    assert last == (
        "error: 1 of 4 cells have no answer of their method; the report names them, the rest was evaluated"
    )
    values = {(row["method"], row["class"]): row["pixel_ap"] for row in table(out)}
    assert values["musc", "gear"] == "" and values["musc", "mean"] == values["musc", "screw"] != ""
    assert values["clip-baseline", "gear"] != ""
    again = zsad(*words(parts, out, "--metrics", "pixel_ap", "--resume", methods=("musc", "clip-baseline")))
    assert again.code == 1 and "3 of 4 cells were finished already" in again.err


def test_damage_is_said_in_one_line(zsad, parts, tmp_path) -> None:
    out = tmp_path / "out"
    assert zsad(*words(parts, out)).code == 0
    cell, summary = next((out / "cells").glob("*.json")), (out / "summary.csv").read_bytes()
    cell.write_text("{}")
    answer = zsad(*words(parts, out, "--resume"))
    assert answer.code == 0
    assert (
        f"{cell} is damaged: it is set aside as {cell.name}.damaged, and made again"
        in answer.err.splitlines()
    )
    assert "1 of 2 cells were finished already" in answer.err
    assert (out / "summary.csv").read_bytes() == summary
    assert (out / "cells" / f"{cell.name}.damaged").read_text() == "{}"


def test_the_threshold_of_a_figure_is_said(zsad, parts, tmp_path) -> None:
    answer = zsad(*words(parts, tmp_path / "a", "--metrics", "image_f1_max"))
    cells = [json.loads(text) for text in cell_bytes(tmp_path / "a").values()]
    for cell in cells:
        at = cell["thresholds"]["image_f1_max"]
        line = f"clip-baseline on parts ({cell['class']}): image_f1_max at {at:.4g}, tuned on the labels"
        assert line in answer.err.splitlines()
    many = draw(tmp_path / "many", CLASSES, normal=1, anomalous=1)
    answer = zsad(*words(many, tmp_path / "b", "--metrics", "image_f1_max"))
    report = tmp_path / "b" / "report.html"
    assert f"thresholds, tuned on the labels, of every class: {report}" in answer.err.splitlines()


def test_an_interrupt_keeps_what_is_finished(zsad, tmp_path) -> None:
    data = draw(tmp_path / "parts", CLASSES, normal=4, anomalous=4)
    out = tmp_path / "out"
    process = start(words(data, out, "--workers", "2"), out, one_cell)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the workers get it, too
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err and err.splitlines()[-1] == "interrupted"
    cells = {json.loads(text)["class"] for text in cell_bytes(out).values()}
    assert 1 <= len(cells) < len(CLASSES)
    assert {row["class"] for row in table(out)} == {*cells, "mean"}
    run = json.loads((out / "run.json").read_text())
    assert run["complete"] is False and len(run["cells"]) == len(CLASSES)
    assert "not complete" in (out / "report.html").read_text()
    assert not list(out.rglob("*.tmp"))
    assert zsad(*words(data, out, "--resume")).code == 0


def test_an_interrupt_before_the_first_cell(zsad, parts, tmp_path, monkeypatch) -> None:
    from zsad.evaluation import runner

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "encode_together", interrupted)
    answer = zsad(*words(parts, tmp_path / "out"))
    assert answer.code == 130 and "Traceback" not in answer.err
    assert table(tmp_path / "out") == [] and (tmp_path / "out" / "report.html").is_file()


def test_workers_need_few_file_handles(parts, tmp_path) -> None:
    arguments = words(parts, tmp_path / "out", "--workers", "1", "--batch-size", "64")
    code = ("import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))\n"
            "from zsad.cli.main import main; main(sys.argv[1:])")  # fmt: skip
    draw(parts, ["many"], normal=60, anomalous=2)
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], timeout=60, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_an_unreadable_image_is_named_and_read_again_on_resume(zsad, parts, tmp_path) -> None:
    broken, out = parts / "gear" / "good" / "1.png", tmp_path / "out"
    content = broken.read_bytes()
    broken.write_bytes(content[: len(content) // 2])
    answer = zsad(*words(parts, out, methods=("clip-baseline", "clip-baseline@vv")))
    assert answer.code == 1
    errors = [line for line in answer.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 2 and "good/1.png" in errors[0]
    assert errors[1].startswith("error: 1 of 12 images could not be read")
    assert [row["n_normal"] for row in table(out)][:3] == ["2", "3", "5"]
    assert "good/1.png" in (out / "report.html").read_text()
    failed = [json.loads(text)["n_failed"] for text in cell_bytes(out).values()]
    assert sorted(failed) == [0, 0, 1, 1]
    again = zsad(*words(parts, out, "--resume", methods=("clip-baseline", "clip-baseline@vv")))
    assert again.code == 1 and "2 of 4 cells were finished already" in again.err
    broken.write_bytes(content)
    assert zsad(*words(parts, out, "--resume", methods=("clip-baseline", "clip-baseline@vv"))).code == 0
    assert [row["n_normal"] for row in table(out)][:3] == ["3", "3", "6"]


def test_a_mask_of_another_size_is_named(zsad, parts, tmp_path) -> None:
    mask = parts / "screw" / "masks" / "scratch" / "4.png"
    Image.open(mask).resize((30, 20)).save(mask)
    answer = zsad(*words(parts, tmp_path / "out"))
    assert answer.code == 1 and "masks/scratch/4.png" in answer.err and "30 x 20" in answer.err
    assert [row["n_anomalous"] for row in table(tmp_path / "out")] == ["3", "2", "5"]


def test_undefined_figures_are_said(zsad, parts, tmp_path) -> None:
    manifest = parts / "manifest.csv"
    lines = ["image,mask,label,class_name,defect_type"]
    for name in ("gear", "screw"):
        for path in sorted((parts / name / "scratch").iterdir()):
            lines.append(f"{name}/scratch/{path.name},{name}/masks/scratch/{path.name},1,{name},scratch")
    lines.append("screw/good/0.png,,0,screw,")
    manifest.write_text("\n".join(lines) + "\n")
    out = tmp_path / "out"
    arguments = ("eval", "--method", "clip-baseline", "--backbone", TINY, "--workers", 0)
    answer = zsad(*arguments, "--data", f"d:manifest={manifest}", "--out", out)
    assert answer.code == 0
    assert "d (gear): image_auroc, image_ap, image_f1_max undefined: no normal images" in answer.err
    assert "undefined" in answer.out
    gear, screw, mean = table(out)
    assert gear["image_auroc"] == "" and mean["image_auroc"] == screw["image_auroc"] != ""
    answer = zsad(*arguments, "--data", f"d:manifest={manifest}:gear", "--out", tmp_path / "o", "--json")
    assert [row["image_auroc"] for row in json.loads(answer.out)] == [None, None]
    assert "d: image_auroc, image_ap, image_f1_max undefined: no normal images" in answer.err


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["--method", "winclp"], "unknown method 'winclp'; did you mean 'winclip'?"),
        (["--metrics", "image_aurok"], "unknown metric 'image_aurok'; did you mean 'image_auroc'?"),
        (["--data", "folder={data}:geer"], "no class 'geer'; did you mean 'gear'?"),
        (["--data", "folder={data}"], "--data: 'parts' was given twice; name one of them: NAME:SPEC"),
        (["--data", "folder={empty}"], "empty"),
        (["--data", "foldr={data}"], "did you mean 'folder'?"),
        (["--method", "clip-baseline"], "--method: 'clip-baseline' was given twice"),
        (["--resolution", "full"], "--resolution"),
        (["--corrupt", "brightnes:0.3"], "unknown corruption 'brightnes'"),
        (["--corrupt", "brightness:3"], "the share of white that is added, from -1 to 1, but not 0"),
        (["--corrupt", "blur:2", "--corrupt", "blur:2.0"], "--corrupt: 'blur:2' was given twice"),
        (["--weights", "clip-baseline=w"], "method 'clip-baseline' learns nothing"),
        (["--set", "training.epochs=2"], "--set training.epochs=2: 'training' has no effect here"),
        (["--set", "generator.area=1"], "--set generator.area=1: 'generator' has no effect here"),
        (["--set", "adapter.rank=2"], "--set adapter.rank=2: 'adapter' has no effect here"),
        (["--image-size", "80", "--set", "image_size=80"], "--image-size and --set image_size=80 say the"),
        (["--set", "scorer.temperature=1", "--set", "scorer.temperature=2"], "has set it already"),
    ],
)
def test_wrong_input_is_one_sentence(zsad, parts, tmp_path, given, sentence) -> None:
    empty, out = tmp_path / "empty", tmp_path / "out"
    empty.mkdir()
    given = [word.format(data=parts, empty=empty) for word in given]
    answer = zsad(*words(parts, out, *given))
    assert answer.code == 2 and sentence in answer.sentence and answer.out == ""
    assert not [path for path in out.rglob("*") if path.is_file()]


def test_a_folder_that_cannot_be_written_is_refused_first(zsad, public_path, unprivileged) -> None:
    data, locked = draw(public_path / "parts"), public_path / "locked"
    locked.mkdir(mode=0o555)
    with unprivileged():
        answer = zsad(*words(data, locked / "out"))
    assert answer.code == 1 and "locked" in answer.sentence and "permission denied" in answer.sentence


def test_a_full_disk_is_one_sentence(zsad, parts, tmp_path, require) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], capture_output=True
    )
    if mounted.returncode:
        require("mount", "a small file system cannot be mounted here")
    try:
        answer = zsad(*words(parts, disk / "out"))
        assert answer.code == 1 and "no space left" in answer.sentence
        assert not list(disk.rglob("*.tmp"))
        for path in disk.rglob("*.json"):
            json.loads(path.read_text())
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_contamination_is_said(zsad, parts, tmp_path) -> None:
    arguments = ["eval", "--method", "clip-baseline", "--data", f"procedural:folder={parts}", "--backbone",
                 "mini", "--image-size", "64", "--workers", "0", "--metrics", "image_ap"]  # fmt: skip
    answer = zsad(*arguments, "--out", tmp_path / "a")
    assert answer.code == 0 and "contaminated for clip-baseline" in answer.err
    assert "does not count in the mean" in answer.err
    assert [row["contaminated"] for row in table(tmp_path / "a")] == ["true", "true", "false"]
    assert table(tmp_path / "a")[-1]["image_ap"] == ""
    answer = zsad(*arguments, "--out", tmp_path / "b", "--include-contaminated")
    assert "counts all the same" in answer.err and table(tmp_path / "b")[-1]["image_ap"] != ""


def test_native_resolution(zsad, parts, tmp_path) -> None:
    answer = zsad(*words(parts, tmp_path / "out", "--resolution", "native", "--metrics", "pixel_ap"))
    assert answer.code == 0
    for text in cell_bytes(tmp_path / "out").values():
        cell = json.loads(text)
        assert cell["resolution"] == "native" and cell["mask_rule"] is None
    assert json.loads((tmp_path / "out" / "run.json").read_text())["options"]["resolution"] == "native"


def test_weights_by_method() -> None:
    assert method_weights(None, ["a"]) == {}
    assert method_weights(["w"], ["a"]) == {"a": "w"}
    assert method_weights(["a=w", "b=v=2"], ["a", "b"]) == {"a": "w", "b": "v=2"}
    assert method_weights(["b=v"], ["a", "b"]) == {"b": "v"}
    assert method_weights(["prompt_learner=p", "scorer=s"], ["a"]) == {
        "a": {"prompt_learner": "p", "scorer": "s"}
    }
    assert method_weights(["a:post_processors:acme/scale=w=1", "a:scorer=s", "d:b=v"], ["a", "d:b"]) == {
        "a": {"post_processors:acme/scale": "w=1", "scorer": "s"}, "d:b": "v",
    }  # fmt: skip
    part = "post_processors:acme/scale"
    assert method_weights([f"{part}=w"], ["a"]) == {"a": {part: "w"}}
    for file in ("some/folder=1/w", "hf://a/b@c=d"):
        assert method_weights([file], ["a"]) == {"a": file}
    for given, methods, sentence in (
        (["w"], ["a", "b"], "with several methods, write METHOD=FILE or METHOD:PART=FILE"),
        (["scorer=w"], ["a", "b"], "with several methods, write METHOD=FILE or METHOD:PART=FILE"),
        (["a=w", "a=v"], ["a", "b"], "a was given a file already"),
        (["a=w", "v"], ["a"], "a was given a file already; give one FILE for all parts, or PART=FILE"),
        (["a:scorer=w", "v"], ["a"], "a was given a file already; give one FILE for all parts, or PART=FILE"),
        (["v", "w"], ["a"], "give one FILE"),
        (["scorer=v", "scorer=w"], ["a"], "scorer of a was given a file already"),
        (["scorer=v", "a:scorer=w"], ["a"], "scorer of a was given a file already"),
        (["scoer=v"], ["a"], "'scoer' is no part and no method of this command; did you mean 'scorer'"),
        (["winclp=v"], ["a", "winclip"], "did you mean 'winclip'.*PART=FILE, METHOD=FILE or METHOD:PART"),
    ):
        with pytest.raises(InputError, match=sentence):
            method_weights(given, methods)


def test_weights_of_a_file_without_a_card_are_refused(zsad, parts, tmp_path) -> None:
    import torch

    file = tmp_path / "w.safetensors"
    save_file({"x": torch.zeros(1)}, file)
    answer = zsad(*words(parts, tmp_path / "o", "--weights", f"anomalyclip={file}", methods=("anomalyclip",)))
    assert answer.code == 2 and "w.safetensors has no zsad card" in answer.sentence
    untrained = zsad(*words(parts, tmp_path / "p", "--untrained", methods=("anomalyclip",)))
    assert untrained.code == 0 and table(tmp_path / "p")[0]["weights_origin"] == "none"


def test_a_method_without_its_weights_is_refused(zsad, parts, tmp_path) -> None:
    answer = zsad(*words(parts, tmp_path / "o", methods=("anomalyclip",)))
    assert answer.code == 2 and "--weights FILE" in answer.sentence and "--untrained" in answer.sentence


def test_report_of_an_unknown_form_or_folder(zsad, tmp_path) -> None:
    answer = zsad("report", tmp_path)
    assert answer.code == 2 and "'zsad eval'" in answer.sentence
    answer = zsad("report", tmp_path, "--format", "htm")
    assert answer.code == 2 and "did you mean 'html'?" in answer.sentence


def test_the_same_command_gives_the_same_table(zsad, parts, tmp_path) -> None:
    for name in "ab":
        assert zsad(*words(parts, tmp_path / name, "--seed", 3)).code == 0
    assert (tmp_path / "a" / "summary.csv").read_bytes() == (tmp_path / "b" / "summary.csv").read_bytes()
    assert table(tmp_path / "a")[0]["seed"] == "3"


def test_nouns_and_sentences_of_a_dataset(zsad, parts, tmp_path) -> None:
    def scores(out: str, *more: str) -> list[str]:
        answer = zsad(*words(parts, tmp_path / out, "--json", *more))
        assert answer.code == 0, answer.err
        return [repr(row["image_ap"]) + repr(row["pixel_ap"]) for row in json.loads(answer.out)]

    plain = scores("plain")
    assert scores("same", "--noun", "parts:gear=gear", "--noun", "parts:screw=screw") == plain
    changed = scores("noun", "--noun", "parts:gear=quokka")
    assert changed[0] != plain[0] and changed[1] == plain[1]
    assert scores("words", "--abnormal-prompt", "a dirty {}") != plain
    options = json.loads((tmp_path / "words" / "run.json").read_text())["options"]
    assert options["abnormal_prompts"] == ["a dirty {}"] and options["normal_prompts"] == []
    refused = zsad(*words(parts, tmp_path / "x", "--noun", "part:gear=x"))
    assert refused.code == 2 and "did you mean 'parts:gear'?" in refused.sentence
    refused = zsad(*words(parts, tmp_path / "x", "--normal-prompt", "x", methods=("musc",)))
    assert refused.code == 2 and "does not take --normal-prompt" in refused.sentence
    assert not (tmp_path / "x").exists()


def test_what_is_left_out_and_what_masks_leave_unmarked_is_said(zsad, tmp_path) -> None:
    root = tmp_path / "parts"
    for number in range(2):
        for place in (root / "images" / "good", root / "images" / "bent" / "deep", root / "masks" / "bent"):
            place.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(number).integers(0, 256, (32, 32), dtype=np.uint8)
            Image.fromarray(pixels).save(place / f"{number}.png")
        mask = np.zeros((32, 32), np.uint8)
        mask[:4], mask[4:12] = 255, 100
        Image.fromarray(mask).save(root / "masks" / "bent" / f"{number}.png")
    (root / "images" / "good" / "2.heic").touch()
    answer = zsad(*words(root, tmp_path / "out"))
    assert answer.code == 0
    lines = answer.err.splitlines()
    assert "parts: left out: 1, because .heic needs converting to PNG or JPEG (1)" in lines
    (faint,) = [line for line in lines if "half of white" in line]
    assert faint.startswith("masks of 2 images") and "256 pixels are marked, and 768 would be" in faint
    assert [(row["n_normal"], row["n_anomalous"]) for row in table(tmp_path / "out")] == [("2", "2")] * 2


def test_the_table_fits_eighty_columns(zsad, parts, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    answer = zsad(*words(parts, tmp_path / "out", methods=("clip-baseline", "clip-baseline@vv")))
    assert answer.code == 0 and max(map(len, answer.out.splitlines())) <= 80
    shown = answer.out.split()
    assert shown.count("clip-baseline") == 3 and shown.count("clip-baseline@vv") == 3
    assert shown.count("gear") == 2 and "undefined" not in shown
    assert "left out for want of width: n_normal, n_anomalous" in answer.err


def test_rows_of_other_options_say_what_differs(zsad, parts, tmp_path) -> None:
    zsad(*words(parts, tmp_path / "out"))
    answer = zsad(*words(parts, tmp_path / "out", "--resume", "--resolution", "native", "--image-size", 32))
    assert answer.code == 0
    header, *rows = answer.out.splitlines()
    columns = header.split()[:7]
    assert columns[-2:] == ["image_size", "resolution"]
    assert [row.split()[2:7] for row in rows if "mean" in row] == [
        ["mean", "6", "6", "64", "image-size"],
        ["mean", "6", "6", "32", "native"],
    ]


def test_a_metric_that_fails_is_named_and_costs_its_figures(zsad, parts, tmp_path, site) -> None:
    module = """
    from zsad.metrics import CurveMetric
    from zsad.plugin.hookspecs import hookimpl
    from zsad.plugin.specs import MetricSpec
    zsad_api = 1

    def build():
        return CurveMetric("image", lambda curve: float("nan"))

    @hookimpl
    def zsad_metrics():
        yield MetricSpec("odd", "acme_metric:build", "odd")
    """
    site.install("acme", {"acme_metric.py": module}, {"acme": "acme_metric"})
    answer = zsad(*words(parts, tmp_path / "out", "--metrics", "odd", "--metrics", "image_ap"))
    assert answer.code == 1
    errors = [line for line in answer.err.splitlines() if line.startswith("error: ")]
    assert errors[0] == (
        "error: metric 'odd' of clip-baseline on parts (gear): it gave nan; a figure without a value has to "
        "be said with UndefinedMetricError"
    )
    assert errors[2] == (
        "error: 2 figures have no number of their metric; the report names them, the rest was evaluated"
    )
    assert len(errors) == 3 and "odd undefined" not in answer.err
    rows = table(tmp_path / "out")
    assert [row["odd"] for row in rows] == [""] * 3
    assert all(0 < float(row["image_ap"]) <= 1 for row in rows)
