"""A folder of one's own, in its several ways."""

from __future__ import annotations

import json
import os

import pytest

from zsad.errors import InputError
from zsad_plugins.datasets import folder


@pytest.mark.parametrize("normal", ["good", "Normal", "ok"])
def test_states_without_masks(draw, listed, normal) -> None:
    root = draw(f"{normal}/10.png", f"{normal}/2.png", "cut/1.png", "hole/1.png")
    dataset = folder.read(root)
    assert {row[0]: row[2:] for row in listed(dataset)} == {
        f"{normal}/2.png": (False, root.name, None),
        f"{normal}/10.png": (False, root.name, None),
        "cut/1.png": (True, root.name, "cut"),
        "hole/1.png": (True, root.name, "hole"),
    }
    assert len(dataset.maskless) == 2
    names = [row[0] for row in listed(dataset)]
    assert names.index(f"{normal}/2.png") < names.index(f"{normal}/10.png")


@pytest.mark.parametrize("base", ["", "images/"])
def test_states_with_masks_in_subfolders(draw, listed, base) -> None:
    draw(f"{base}good/1.png", f"{base}cut/1.jpg", f"{base}hole/1.jpg")
    root = draw("masks/cut/1_mask.png", "masks/hole/1.png", value=255)
    masks = {row[0]: row[1] for row in listed(folder.read(root))}
    assert masks == {
        f"{base}good/1.png": None,
        f"{base}cut/1.jpg": "masks/cut/1_mask.png",
        f"{base}hole/1.jpg": "masks/hole/1.png",
    }


def test_states_with_masks_in_one_folder(draw, listed) -> None:
    draw("good/1.png", "good/7.png", "cut/1.jpg", "hole/2.jpg")
    draw("gt/7.png", value=0)
    root = draw("gt/1.png", "gt/2.png", value=255)
    masks = {row[0]: row[1] for row in listed(folder.read(root))}
    assert masks == {
        "good/1.png": None,
        "good/7.png": "gt/7.png",
        "cut/1.jpg": "gt/1.png",
        "hole/2.jpg": "gt/2.png",
    }


def test_one_mask_for_two_defects_is_refused(draw) -> None:
    root = draw("good/0.png", "cut/1.png", "hole/1.png", "masks/1.png")
    with pytest.raises(InputError, match=r"could be of .*cut/1.png' or .*hole/1.png"):
        folder.read(root)


def test_missing_and_superfluous_masks_are_refused(draw) -> None:
    root = draw("good/0.png", "cut/1.png", "cut/2.png", "masks/cut/1.png")
    with pytest.raises(InputError, match=r"cut/2.png' has no mask"):
        folder.read(root)
    draw("masks/cut/2.png", "masks/cut/3.png")
    with pytest.raises(InputError, match=r"masks/cut/3.png' has no image"):
        folder.read(root)
    (root / "masks/cut/3.png").unlink()
    draw("masks/bend/1.png")
    with pytest.raises(InputError, match="no folder of images named 'bend'"):
        folder.read(root)


def test_masks_decide(draw, listed) -> None:
    draw("images/1.jpg", "images/2.jpg", "images/3.jpg")
    draw("masks/1.png", value=255)
    root = draw("masks/2.png", value=0)
    assert [row[:3] for row in listed(folder.read(root))] == [
        ("images/1.jpg", "masks/1.png", True),
        ("images/2.jpg", "masks/2.png", False),
        ("images/3.jpg", None, False),
    ]


def test_several_objects(draw, listed) -> None:
    draw("hex_nut/good/1.png", "hex_nut/bent/1.png", "lid/images/1.png", "lid/images/2.png")
    root = draw("lid/masks/1.png", value=255)
    dataset = folder.read(root)
    assert dataset.classes == ("hex_nut", "lid") and dataset.images[0].noun == "hex nut"
    assert [row[2] for row in listed(dataset)] == [True, False, True, False]
    draw("notes/1.png")
    with pytest.raises(InputError, match="notes' has neither a folder 'good'"):
        folder.read(root)


def test_other_layouts_are_named(draw, tmp_path) -> None:
    with pytest.raises(InputError, match="says which images are normal"):
        folder.read(draw("1.png", "cut/2.png"))
    draw("bottle/test/good/1.png", "bottle/ground_truth/bad/1.png")
    with pytest.raises(InputError, match="read it as mvtec="):
        folder.read(tmp_path)
    with pytest.raises(InputError, match="read it as mvtec="):
        folder.read(tmp_path / "bottle")
    (tmp_path / "cut" / "manifest.csv").touch()
    with pytest.raises(InputError, match=r"read it as manifest=.*manifest\.csv"):
        folder.read(tmp_path / "cut")
    with pytest.raises(InputError, match="no folder"):
        folder.read(tmp_path / "nothing")


def test_loose_files_are_refused(draw) -> None:
    root = draw("images/good/1.png", "images/cut/1.png", "images/2.png")
    with pytest.raises(InputError, match=r"images/2.png' lies beside"):
        folder.read(root)


def test_empty_folders(tmp_path) -> None:
    (tmp_path / "good").mkdir()
    with pytest.raises(InputError, match="has no test image"):
        folder.read(tmp_path)


def test_folders_below_a_state_belong_to_it(draw, listed) -> None:
    draw("part/good/0.png", "part/good/cam2/1.jfif", "part/scratch/2024-05/x/2.jpg", "part/scratch/3.PNG")
    root = draw("__MACOSX/part/good/._0.png", "part/@eaDir/0.png/thumb.png", "part/good/.4.png")
    dataset = folder.read(root)
    assert sorted((row[0], row[2], row[4]) for row in listed(dataset)) == [
        ("part/good/0.png", False, None),
        ("part/good/cam2/1.jfif", False, None),
        ("part/scratch/2024-05/x/2.jpg", True, "scratch"),
        ("part/scratch/3.PNG", True, "scratch"),
    ]
    reasons = sorted(entry.reason for entry in dataset.left_out)
    assert reasons == ["hidden", "left behind by a system", "left behind by a system"]


def test_folders_without_images_say_nothing(draw, listed) -> None:
    root = draw("images/1.png", "images/2.png")
    draw("masks/1.png", value=255)
    (root / "images" / "notes").mkdir()
    (root / "images" / "notes" / "read me.txt").touch()
    assert [row[:3] for row in listed(folder.read(root))] == [
        ("images/1.png", "masks/1.png", True),
        ("images/2.png", None, False),
    ]


def test_predictions_below_a_set_are_no_defect(draw, listed) -> None:
    root = draw("good/1.png", "bent/1.png", "zsad-predictions/1_overlay.png")
    entry = {"path": "good/1.png", "score": 0.5, "overlay": "zsad-predictions/1_overlay.png"}
    (root / "zsad-predictions/predictions.json").write_text(json.dumps({"images": [entry]}))
    dataset = folder.read(root)
    assert [row[0] for row in listed(dataset)] == ["bent/1.png", "good/1.png"]
    assert [entry.reason for entry in dataset.left_out] == ["written by zsad"] * 2


def test_a_set_of_images_that_are_not_read_says_so(tmp_path) -> None:
    (tmp_path / "good").mkdir()
    (tmp_path / "good" / "1.heic").touch()
    with pytest.raises(InputError, match=r"no test image; left out: 1, because \.heic needs converting"):
        folder.read(tmp_path)


def test_names_that_are_no_text(draw) -> None:
    root = draw("good/0.png", "ng/0.png")
    (root / "ng").rename(os.fsdecode(os.fsencode(root) + "/划痕".encode("gbk")))
    dataset = folder.read(root)
    (defect,) = (image.defect_type for image in dataset.images if image.anomalous)
    assert defect == r"\udcbb\udcae\udcba\udcdb" and len(dataset.manifest_hash) == 64
