"""VisA as published and rearranged."""

from __future__ import annotations

import pytest

from zsad.errors import InputError
from zsad_plugins.datasets import visa

ROWS = """object,split,label,image,mask
pcb1,train,normal,pcb1/Data/Images/Normal/1.JPG,
pcb1,test,normal,pcb1/Data/Images/Normal/2.JPG,
pcb1,test,anomaly,pcb1/Data/Images/Anomaly/1.JPG,pcb1/Data/Masks/Anomaly/1.png
"""


@pytest.fixture
def root(draw):
    images = "pcb1/Data/Images"
    draw(f"{images}/Normal/1.JPG", f"{images}/Normal/2.JPG", f"{images}/Anomaly/1.JPG")
    folder = draw("pcb1/Data/Masks/Anomaly/1.png", value=3)
    (folder / "split_csv").mkdir()
    (folder / "split_csv" / "1cls.csv").write_text(ROWS, encoding="utf-8")
    return folder


def test_published(root, listed) -> None:
    dataset = visa.read(root)
    mask = "pcb1/Data/Masks/Anomaly/1.png"
    assert listed(dataset) == [
        ("pcb1/Data/Images/Anomaly/1.JPG", mask, True, "pcb1", "anomaly"),
        ("pcb1/Data/Images/Normal/2.JPG", None, False, "pcb1", None),
    ]
    assert [image.image.name for image in dataset.normal_train_images] == ["1.JPG"]
    assert dataset.images[0].noun == "printed circuit board"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("test,normal", "test,ok", "label 'ok' is neither"),
        ("test,normal", "val,normal", "split 'val' is neither"),
        ("Normal/2.JPG", "Normal/3.JPG", "no file"),
        ("pcb1,test,normal", ",test,normal", "object is empty"),
    ],
)
def test_wrong_splits(root, old, new, message) -> None:
    (root / "split_csv" / "1cls.csv").write_text(ROWS.replace(old, new), encoding="utf-8")
    with pytest.raises(InputError, match=message):
        visa.read(root)


def test_without_split(root) -> None:
    (root / "split_csv" / "1cls.csv").unlink()
    with pytest.raises(InputError, match=r"lacks 'split_csv/1cls\.csv'"):
        visa.read(root)


def test_rearranged(draw, listed) -> None:
    draw("candle/train/good/1.JPG", "candle/test/good/2.JPG", "candle/test/bad/1.JPG")
    root = draw("candle/ground_truth/bad/1.png", value=255)
    dataset = visa.read(root)
    assert [row[1] for row in listed(dataset)] == ["candle/ground_truth/bad/1.png", None]
    assert len(dataset.normal_train_images) == 1


def test_errors_name_the_layout(tmp_path) -> None:
    said = r"does not lie like VisA, as published with 'split_csv/1cls\.csv' or"
    with pytest.raises(InputError, match=said):
        visa.read(tmp_path)


def test_the_split_decides_and_the_rest_is_left_out(root, draw) -> None:
    draw("pcb1/Data/Images/Normal/7.JPG", "pcb1/extra.png")
    left = {entry.path.relative_to(root).as_posix(): entry.reason for entry in visa.read(root).left_out}
    assert left == dict.fromkeys(("pcb1/Data/Images/Normal/7.JPG", "pcb1/extra.png"), "not in the list")
