"""The meta.json of VAND and its relatives."""

from __future__ import annotations

import json
import os

import pytest

from zsad.errors import InputError
from zsad_plugins.datasets import meta


@pytest.fixture
def root(draw):
    draw("nut/train/good/1.png", "nut/test/good/1.png", "nut/test/bent/1.png", "nut/test/bent/2.png")
    return draw("nut/gt/1.png", value=255)


def entry(image, anomaly, mask="", **more):
    state = image.split("/")[-2]
    known = {
        "img_path": image,
        "mask_path": mask,
        "cls_name": "nut",
        "specie_name": state,
        "anomaly": anomaly,
    }
    return {**known, **more}


def data(*test, train=()):
    return {"train": {"nut": list(train)}, "test": {"nut": list(test)}}


def read(root, value):
    text = value if isinstance(value, str) else json.dumps(value)
    (root / "meta.json").write_text(text, encoding="utf-8")
    return meta.read(root / "meta.json")


@pytest.mark.parametrize("kind", [int, str])
def test_entries(root, listed, kind) -> None:
    test = [
        entry("nut/test/bent/1.png", kind(1), "nut/gt/1.png"),
        entry("nut/test/good/1.png", kind(0)),
        entry("nut/test/bent/2.png", kind(1)),
    ]
    dataset = read(root, data(*test, train=[entry("nut/train/good/1.png", kind(0))]))
    assert listed(dataset) == [
        ("nut/test/bent/1.png", "nut/gt/1.png", True, "nut", "bent"),
        ("nut/test/bent/2.png", None, True, "nut", "bent"),
        ("nut/test/good/1.png", None, False, "nut", None),
    ]
    assert len(dataset.normal_train_images) == 1 and len(dataset.maskless) == 1
    assert dataset.name == root.name and meta.read(root) == dataset


def test_without_train(root) -> None:
    assert len(read(root, {"test": data(entry("nut/test/good/1.png", 0))["test"]}).images) == 1


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{", "as JSON"),
        ("[]", "does not have the form"),
        ({"test": []}, "does not have the form"),
        ({"train": [], "test": {}}, "does not have the form"),
        ({"train": {}, "test": {"nut": {}}}, "not a class with a list"),
        (data("x"), "entry 0: no text 'img_path'"),
        (data({"img_path": 3}), "no text 'img_path'"),
        (data(entry("nut/test/good/1.png", 2)), "'anomaly' is 2"),
        (data(entry("nut/test/good/1.png", None)), "'anomaly' is None"),
        (data(entry("nut/test/good/1.png", True)), "'anomaly' is True"),
        (data(entry("nut/test/good/1.png", 0, cls_name="lid")), "'cls_name' is 'lid'"),
        (data(entry("nut/test/good/1.png", 0, mask=["x"])), "have to be texts"),
        (data(entry("nut/test/good/9.png", 0)), "no file"),
        (data(entry("../nut/test/good/9.png", 0)), "entry 0: no file '../nut/test/good/9.png'"),
        (data(), "has no test image"),
        (data(entry("nut/test/good/1.png", 0), entry("nut/test/good/1.png", 0)), "2 times"),
    ],
)
def test_wrong_files(root, value, message) -> None:
    with pytest.raises(InputError, match=message):
        read(root, value)


@pytest.mark.parametrize("base", ["{root}/", "/home/you/{name}/", "D:\\data\\{name}\\", ""])
@pytest.mark.parametrize("mark", ["/", "\\"])
@pytest.mark.parametrize(("train", "test"), [("train", "test"), ("Train", "Test"), ("TRAIN", "TEST")])
def test_as_published_generators_write_it(root, listed, base, mark, train, test) -> None:
    def written(path: str) -> str:
        return base.format(root=root, name=root.name) + path.replace("/", mark)

    bad = entry("nut/test/bent/1.png", 1) | {"img_path": written("nut/test/bent/1.png")}
    bad["mask_path"] = written("nut/gt/1.png")
    good = entry("nut/test/good/1.png", 0) | {"img_path": written("nut/test/good/1.png")}
    reference = entry("nut/train/good/1.png", 0) | {"img_path": written("nut/train/good/1.png")}
    dataset = read(root, "\ufeff" + json.dumps({train: {"nut": [reference]}, test: {"nut": [bad, good]}}))
    assert listed(dataset) == [
        ("nut/test/bent/1.png", "nut/gt/1.png", True, "nut", "bent"),
        ("nut/test/good/1.png", None, False, "nut", None),
    ]
    assert [image.image for image in dataset.normal_train_images] == [root / "nut/train/good/1.png"]
    assert [entry.path for entry in dataset.left_out] == [root / "nut/test/bent/2.png"]


def test_a_part_in_two_spellings_is_refused(root) -> None:
    with pytest.raises(InputError, match="has the part 'test' twice"):
        read(root, {"test": {}, "Test": {"nut": []}})


def test_a_list_without_end_is_refused(tmp_path) -> None:
    os.mkfifo(tmp_path / "meta.json")
    for path in (tmp_path, type(tmp_path)("/dev/zero")):
        with pytest.raises(InputError, match="it is not a regular file"):
            meta.read(path)
