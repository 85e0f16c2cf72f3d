"""``zsad datasets``."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from zsad.cli.main import COMMANDS


@pytest.fixture(autouse=True)
def registered(monkeypatch) -> None:
    monkeypatch.setitem(COMMANDS, "datasets", ("zsad.cli.datasets:app", "List the dataset layouts."))


def save(path, value=90, shape=(4, 6)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(shape, value, np.uint8)).save(path)


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "set"
    for state in ("good", "bent"):
        for number in (1, 2):
            save(folder / "hex_nut" / "test" / state / f"{number}.png")
    for number in (1, 2):
        save(folder / "hex_nut" / "ground_truth" / "bent" / f"{number}_mask.png", 255)
    save(folder / "hex_nut" / "train" / "good" / "1.png")
    return folder


def test_list(zsad) -> None:
    rows = {row["name"]: row for row in json.loads(zsad("datasets", "--json").out)}
    assert {"folder", "manifest", "meta", "mvtec", "samples", "visa"} <= set(rows)
    assert rows["mvtec"]["distribution"] == "zsad"
    assert zsad("datasets").out == zsad("datasets", "list").out
    assert "mvtec" in zsad("datasets").out


def test_info(zsad) -> None:
    data = json.loads(zsad("datasets", "info", "folder", "--json").out)
    assert data["written"] == "folder=PATH" and "PATH/good/a.png" in data["description"]
    text = zsad("datasets", "info", "samples").out
    assert "written       samples\n" in text
    text = zsad("datasets", "info", "mvtec").out
    assert "    PATH/CLASS/test/good/000.png" in text and "code-block" not in text and "``" not in text
    answer = zsad("datasets", "info", "mvtek")
    assert answer.code == 2 and "'mvtec'" in answer.sentence


def test_check_of_a_sound_set(zsad, root) -> None:
    answer = zsad("datasets", "check", f"mvtec={root}")
    assert answer.code == 0 and answer.err == ""
    assert answer.out.splitlines()[1].split() == ["hex_nut", "hex", "nut", "2", "2", "2", "1", "0"]
    data = json.loads(zsad("datasets", "check", f"mine:mvtec={root}", "--json").out)
    assert data["name"] == "mine" and data["has_masks"] and data["problems"] == []
    assert data["classes"] == [
        {"class_name": "hex_nut", "noun": "hex nut", "normal": 2, "anomalous": 2, "masks": 2, "train": 1}
    ]
    assert len(data["manifest_hash"]) == 64


def test_check_finds_every_problem(zsad, root) -> None:
    nut = root / "hex_nut"
    (nut / "test/good/1.png").write_bytes(b"no image")
    (nut / "train/good/1.png").write_bytes(b"")
    save(nut / "ground_truth/bent/1_mask.png", 255, (6, 4))
    save(nut / "ground_truth/bent/2_mask.png", 0)
    answer = zsad("datasets", "check", f"mvtec={root}", "--json")
    assert answer.code == 1
    problems = {problem["file"]: problem["text"] for problem in json.loads(answer.out)["problems"]}
    assert len(problems) == 4
    assert "not a PNG" in problems[str(nut / "test/good/1.png")]
    assert "the file is empty" in problems[str(nut / "train/good/1.png")]
    assert "has 4 x 6 pixels" in problems[str(nut / "ground_truth/bent/1_mask.png")]
    assert "is anomalous, but its mask marks nothing" in problems[str(nut / "ground_truth/bent/2_mask.png")]
    answer = zsad("datasets", "check", f"mvtec={root}")
    assert answer.code == 1 and len(answer.err.splitlines()) == 4
    assert answer.out.splitlines()[1].endswith(" 4")


def test_check_of_labels_against_masks(zsad, tmp_path) -> None:
    save(tmp_path / "1.png")
    save(tmp_path / "m.png", 255)
    (tmp_path / "manifest.csv").write_text(
        "image,mask,label,class_name\n1.png,m.png,0,nut\n", encoding="utf-8"
    )
    answer = zsad("datasets", "check", f"manifest={tmp_path}")
    assert answer.code == 1 and "is normal, but its mask marks pixels" in answer.err


def test_check_says_what_will_be_undefined(zsad, tmp_path) -> None:
    save(tmp_path / "1.png")
    (tmp_path / "manifest.csv").write_text("image,mask,label,class_name\n1.png,,1,nut\n", encoding="utf-8")
    answer = zsad("datasets", "check", f"manifest={tmp_path}")
    assert answer.code == 0
    assert "no normal images: image metrics" in answer.err
    assert "1 anomalous images have no mask" in answer.err


def test_many_problems_are_cut(zsad, tmp_path) -> None:
    folder = tmp_path / "good"
    folder.mkdir()
    for number in range(25):
        (folder / f"{number}.png").touch()
    answer = zsad("datasets", "check", f"folder={tmp_path}")
    assert len(answer.err.splitlines()) == 21 and "and 5 more" in answer.err
    assert json.loads(zsad("datasets", "check", f"folder={tmp_path}", "--json").out)["manifest_hash"]


def test_wrong_spec(zsad, root) -> None:
    answer = zsad("datasets", "check", f"mvtec={root}:hexnut")
    assert answer.code == 2 and "did you mean 'hex_nut'" in answer.sentence
    answer = zsad("datasets", "check", str(root))
    assert answer.code == 2 and f"folder={root}" in answer.sentence


def test_check_counts_and_names_what_is_left_out(zsad, root) -> None:
    nut = root / "hex_nut"
    (nut / "test" / "good" / "5.HEIC").touch()
    (nut / "test" / "bent" / "6.png").symlink_to(root / "gone.png")
    (root / "__MACOSX").mkdir()
    (root / "__MACOSX" / "._1.png").touch()
    save(nut / "test" / "good" / "deep" / "9.png")
    answer = zsad("datasets", "check", f"mvtec={root}")
    assert answer.code == 0 and answer.out.splitlines()[1].split()[3:] == ["3", "2", "2", "1", "0"]
    assert answer.err == (
        "left out: 3, because left behind by a system (1), a link to nothing (1), "
        ".heic needs converting to PNG or JPEG (1); --names says which\n"
    )
    lines = zsad("datasets", "check", f"mvtec={root}", "--names").err.splitlines()
    assert f"left out: {nut / 'test/bent/6.png'}, a link to nothing" in lines and len(lines) == 4
    listed = json.loads(zsad("datasets", "check", f"mvtec={root}", "--json").out)["left_out"]
    assert {entry["path"]: entry["reason"] for entry in listed} == {
        str(root / "__MACOSX/._1.png"): "left behind by a system",
        str(nut / "test/bent/6.png"): "a link to nothing",
        str(nut / "test/good/5.HEIC"): ".heic needs converting to PNG or JPEG",
    }


def test_check_counts_what_another_rule_for_masks_would_mark(zsad, root) -> None:
    values = np.zeros((4, 6), np.uint8)
    values[0], values[1:3] = 255, 100
    Image.fromarray(values).save(root / "hex_nut/ground_truth/bent/1_mask.png")
    save(root / "hex_nut/ground_truth/bent/2_mask.png", 1)
    answer = zsad("datasets", "check", f"mvtec={root}")
    assert answer.code == 0
    numbers, faint = answer.err.splitlines()
    assert numbers.startswith("masks of 1 images have no value above half of white: they are read as class")
    assert "masks of 1 images have values from 1 to half of white" in faint
    assert "6 pixels are marked, and 18 would be if everything above 0 was" in faint
    assert json.loads(zsad("datasets", "check", f"mvtec={root}", "--json").out)["mask_levels"] == {
        "of_numbers": 1,
        "faint": 1,
        "marked_pixels": 6,
        "pixels_above_zero": 18,
    }


def test_unknown_layouts_list_the_known_ones_once(zsad, root) -> None:
    answer = zsad("datasets", "check", f"mvteck={root}")
    assert answer.code == 2 and "did you mean 'mvtec'" in answer.sentence
    assert "; layouts are btad, folder, manifest, meta, mvtec," in answer.sentence
    answer = zsad("datasets", "check", f"nosuch={root}")
    assert answer.code == 2 and "unknown dataset layout 'nosuch' (there are: folder, " in answer.sentence
    assert answer.sentence.count("manifest") == 1


@pytest.mark.parametrize("layout", ["manifest", "meta"])
def test_lists_without_end_are_refused_at_once(zsad, layout) -> None:
    answer = zsad("datasets", "check", f"{layout}=/dev/zero")
    assert answer.code == 2 and answer.sentence == "error: cannot read '/dev/zero': it is not a regular file"
