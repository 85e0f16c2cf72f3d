"""The CSV of images, masks, labels and classes."""

from __future__ import annotations

import os

import pytest

from zsad.errors import InputError
from zsad_plugins.datasets import manifest

HEADER = "image,mask,label,class_name,defect_type\n"

COUNTS = {
    "mtd": (75, 75),
    "mpdd_metal_plate": (79, 71),
    "deeppcb": (75, 75),
    "crackforest": (0, 118),
    "neuseg": (0, 150),
    "leather_custom": (0, 150),
    "brain_figshare": (0, 64),
    "polyp": (0, 59),
}
"""Normal and anomalous images, from the bench's README."""


@pytest.fixture
def root(draw):
    draw("images/1.png", "images/2.png", "images/3.png")
    return draw("masks/2.png", value=255)


def read(root, rows, header=HEADER, encoding="utf-8"):
    (root / "manifest.csv").write_text(header + rows, encoding=encoding)
    return manifest.read(root / "manifest.csv")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_rows(root, listed, encoding) -> None:
    rows = "images/2.png,masks/2.png,1,metal_nut,bent\n\n"
    rows += "images/1.png,,0,metal_nut,\n./images/3.png,,1,metal_nut,\n"
    dataset = read(root, rows, encoding=encoding)
    assert listed(dataset) == [
        ("images/1.png", None, False, "metal_nut", None),
        ("images/2.png", "masks/2.png", True, "metal_nut", "bent"),
        ("images/3.png", None, True, "metal_nut", None),
    ]
    assert dataset.name == root.name and dataset.images[0].noun == "metal nut"
    assert [image.image.name for image in dataset.maskless] == ["3.png"]
    assert manifest.read(root) == dataset


def test_noun_column(root) -> None:
    header = "image,mask,label,class_name,noun\n"
    assert read(root, "images/1.png,,0,part 7,lid\n", header).images[0].noun == "lid"
    with pytest.raises(InputError, match="both 'lid' and 'broken lid'"):
        read(root, "images/1.png,,0,part 7,lid\nimages/2.png,,1,part 7,broken lid\n", header)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("images/1.png,,2,nut,", "line 2: label '2' is neither 0"),
        ("images/1.png,,good,nut,", "label 'good'"),
        ("images/1.png,,,nut,", "label ''"),
        ("images/1.png,,0,,", "class_name is empty"),
        ("images/9.png,,0,nut,", "no file 'images/9.png'"),
        ("images,,0,nut,", "no file 'images'"),
        (",,0,nut,", "no file ''"),
        ("images/1.png,masks/1.png,1,nut,", "no file 'masks/1.png'"),
        ("../secret.png,,0,nut,", "line 2: no file '../secret.png' in folder"),
        ("images/../../secret.png,,0,nut,", "line 2: no file 'images/../../secret.png' in folder"),
        ("images/2.png,../m.png,1,nut,", "line 2: no file '../m.png' in folder"),
        ("/etc/no such file,,0,nut,", "line 2: no file '/etc/no such file' in folder"),
        ("images/1.png,,0,nut", "4 cells, but the header has 5"),
        ("images/1.png,,0,nut,,", "6 cells"),
        ("images/1.png,,0,nut,\nimages/./1.png,,0,nut,", "names the image .*images/1.png' 2 times"),
        ("images/1.png,masks/2.png,1,nut,\nimages/2.png,masks/2.png,1,nut,", "names the mask"),
        ("images/1.png,,0,good nut,\nimages/2.png,,1,bad nut,", "class name gives the label away"),
        ("", "has no test image"),
    ],
)
def test_wrong_rows(root, row, message) -> None:
    with pytest.raises(InputError, match=message):
        read(root, row)


def test_wrong_files(root, tmp_path) -> None:
    with pytest.raises(InputError, match="no column 'mask' in its first line; did you mean 'masks'"):
        read(root, "", "image,masks,label,class_name\n")
    with pytest.raises(InputError, match="no column 'image'"):
        read(root, "", "image|mask|label|class_name\n")
    with pytest.raises(InputError, match="column 'mask' twice"):
        read(root, "", "image,mask,mask,label,class_name\n")
    with pytest.raises(InputError, match="has no first line to name its columns: image"):
        read(root, "", "")
    with pytest.raises(InputError, match="not UTF-8"):
        read(root, "images/é.png,,0,nut,\n", encoding="latin-1")
    with pytest.raises(InputError, match=r"cannot read .*none\.csv"):
        manifest.read(tmp_path / "none.csv")


def test_one_label_in_all_classes_is_no_leak(root) -> None:
    assert read(root, "images/1.png,,1,a,\nimages/2.png,,1,b,\n").classes == ("a", "b")


@pytest.mark.parametrize("name", sorted(COUNTS))
def test_bench_sets(bench, name) -> None:
    dataset = manifest.read(bench / name / "manifest.csv")
    anomalous = sum(image.anomalous for image in dataset.images)
    assert (len(dataset.images) - anomalous, anomalous) == COUNTS[name]
    assert dataset.name == name and dataset.has_masks and len(dataset.classes) == 1
    assert dataset.has_normal_images == (COUNTS[name][0] > 0)


@pytest.mark.parametrize("mark", [";", "\t", ","])
def test_other_separators(root, listed, mark) -> None:
    rows = f"{HEADER}images/2.png,masks/2.png,1,nut,bent\nimages/1.png,,0,nut,\n"
    dataset = read(root, "", rows.replace(",", mark), "utf-8-sig")
    assert [row[:3] for row in listed(dataset)] == [
        ("images/1.png", None, False),
        ("images/2.png", "masks/2.png", True),
    ]


def test_paths_out_of_the_folder(root) -> None:
    lists = root / "lists"
    lists.mkdir()
    rows = f"../images/2.png,../masks/2.png,1,nut,\n{root}/images/1.png,,0,nut,\n"
    dataset = read(lists, rows)
    assert [image.image for image in dataset.images] == [root / "images/1.png", root / "images/2.png"]
    assert dataset.images[1].mask == root / "masks/2.png" and dataset.left_out == ()
    assert len(dataset.manifest_hash) == 64


def test_what_is_not_listed_is_left_out(root) -> None:
    dataset = read(root, "images/1.png,,0,nut,\nimages/2.png,masks/2.png,1,nut,\n")
    assert [(entry.path, entry.reason) for entry in dataset.left_out] == [
        (root / "images/3.png", "not in the list")
    ]


def test_a_list_without_end_is_refused(tmp_path) -> None:
    os.mkfifo(tmp_path / "manifest.csv")
    for path in (type(tmp_path)("/dev/zero"), tmp_path, tmp_path / "manifest.csv"):
        with pytest.raises(InputError, match=r"cannot read '.*': it is not a regular file"):
            manifest.read(path)
