"""MVTec AD and what lies like it."""

from __future__ import annotations

import pytest

from zsad.errors import InputError
from zsad_plugins.datasets import mvtec


@pytest.fixture
def root(draw):
    draw("metal_nut/test/good/000.png", "metal_nut/test/bent/002.png", "metal_nut/test/bent/010.png")
    draw("metal_nut/train/good/000.png", "metal_nut/train/good/001.png")
    draw("metal_nut/ground_truth/bent/010_mask.png", "metal_nut/ground_truth/bent/002_mask.png", value=255)
    draw("bottle/test/ok/1.bmp", "bottle/test/ko/1.bmp")
    return draw("bottle/ground_truth/ko/1.png", value=255)


def test_images_masks_and_references(root, listed) -> None:
    dataset = mvtec.read(root)
    nut = "metal_nut/ground_truth/bent"
    assert listed(dataset) == [
        ("bottle/test/ko/1.bmp", "bottle/ground_truth/ko/1.png", True, "bottle", "ko"),
        ("bottle/test/ok/1.bmp", None, False, "bottle", None),
        ("metal_nut/test/bent/002.png", f"{nut}/002_mask.png", True, "metal_nut", "bent"),
        ("metal_nut/test/bent/010.png", f"{nut}/010_mask.png", True, "metal_nut", "bent"),
        ("metal_nut/test/good/000.png", None, False, "metal_nut", None),
    ]
    assert dataset.images[-1].noun == "metal nut"
    assert [image.image.name for image in dataset.normal_train_images] == ["000.png", "001.png"]
    assert dataset.name == root.name and dataset.has_masks


def test_one_class_folder(root, monkeypatch) -> None:
    assert mvtec.read(root / "bottle").classes == ("bottle",)
    monkeypatch.chdir(root / "bottle" / "test")
    dataset = mvtec.read(root.__class__(".."))
    assert (dataset.name, dataset.classes) == ("bottle", ("bottle",))


def test_class_without_ground_truth_is_maskless(root, draw) -> None:
    draw("wood/test/good/0.png", "wood/test/hole/0.png")
    dataset = mvtec.read(root)
    assert [image.class_name for image in dataset.maskless] == ["wood"] and not dataset.has_masks


def test_missing_mask_is_named(root) -> None:
    (root / "metal_nut/ground_truth/bent/010_mask.png").unlink()
    with pytest.raises(InputError, match=r"bent/010\.png' has no mask"):
        mvtec.read(root)
    (root / "metal_nut/ground_truth/bent/002_mask.png").unlink()
    (root / "metal_nut/ground_truth/bent").rmdir()
    with pytest.raises(InputError, match=r"bent/002\.png' \(and 1 more\) has no mask"):
        mvtec.read(root)


def test_mask_without_image_is_named(root, draw) -> None:
    draw("metal_nut/ground_truth/bent/011_mask.png")
    with pytest.raises(
        InputError, match=r"011_mask\.png' has no image: none has the stem '011_mask' or '011'"
    ):
        mvtec.read(root)
    (root / "metal_nut/ground_truth/bent/011_mask.png").unlink()
    draw("metal_nut/ground_truth/flip/000_mask.png")
    with pytest.raises(InputError, match=r"there is no folder .*test/flip"):
        mvtec.read(root)


def test_refuses_other_folders(tmp_path, draw) -> None:
    with pytest.raises(InputError, match="neither it nor a folder in it"):
        mvtec.read(tmp_path)
    with pytest.raises(InputError, match=r"is a file, not a folder"):
        mvtec.read(draw("a.png") / "a.png")
    (tmp_path / "b" / "test").mkdir(parents=True)
    with pytest.raises(InputError, match="has no test image"):
        mvtec.read(tmp_path)


def test_nested_folders_capitals_and_accents(draw, listed) -> None:
    split = "nut/Test/fe\u0302le\u0301"
    draw("nut/Test/good/cam2/1.png", f"{split}/a/1.png", f"{split}/b/1.png")
    draw("nut/Train/good/cam2/5.jfif", "nut/Test/@eaDir/x.png", "__MACOSX/nut/Test/._1.png")
    root = draw("nut/Ground_Truth/fêlé/b/1_mask.png", "nut/Ground_Truth/fêlé/a/1_mask.png", value=255)
    dataset = mvtec.read(root)
    assert sorted(row[:3] for row in listed(dataset)) == [
        (f"{split}/a/1.png", "nut/Ground_Truth/fêlé/a/1_mask.png", True),
        (f"{split}/b/1.png", "nut/Ground_Truth/fêlé/b/1_mask.png", True),
        ("nut/Test/good/cam2/1.png", None, False),
    ]
    assert [image.image.name for image in dataset.normal_train_images] == ["5.jfif"]
    assert {entry.reason for entry in dataset.left_out} == {"left behind by a system"}


def test_what_the_layout_has_no_place_for(root, draw) -> None:
    draw("metal_nut/train/bent/1.png", "notes/1.png", "top.png")
    left = {entry.path.relative_to(root).as_posix(): entry.reason for entry in mvtec.read(root).left_out}
    assert left == dict.fromkeys(
        ("metal_nut/train/bent/1.png", "notes/1.png", "top.png"), "no place for it in the layout 'mvtec'"
    )


def test_linked_folders_and_files(draw, listed) -> None:
    root = draw("raw/all/1.png", "raw/all/2.png", "nut/test/good/0.png")
    (root / "nut/test/bent").symlink_to(root / "raw/all")
    dataset = mvtec.read(root)
    assert [row[0] for row in listed(dataset)] == [
        "nut/test/bent/1.png",
        "nut/test/bent/2.png",
        "nut/test/good/0.png",
    ]
    assert [(e.path.name, e.reason) for e in dataset.left_out] == [
        (name, "found under another name already") for name in ("1.png", "2.png")
    ]


def test_btad_names_itself(tmp_path) -> None:
    with pytest.raises(InputError, match="does not lie like BTAD: neither"):
        mvtec.read_btad(tmp_path)
