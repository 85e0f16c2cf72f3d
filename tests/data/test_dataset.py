"""The dataset type: order, restriction, refusals and the manifest hash."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from zsad.data.dataset import Dataset, DatasetImage
from zsad.data.fingerprint import content_marks
from zsad.errors import InputError


def image(root: Path, name: str, anomalous=False, class_name="nut", mask=None, **more) -> DatasetImage:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(name.encode())
    noun = more.pop("noun", class_name)
    return DatasetImage(path, mask, anomalous, class_name, noun, **more)


@pytest.fixture
def dataset(tmp_path):
    root = tmp_path / "set"
    mask = image(root, "m/10.png").image
    images = [
        image(root, "b/10.png", True, "c10", mask),
        image(root, "b/9.png", False, "c10"),
        image(root, "a/1.png", True, "c9"),
        image(root, "a/2.png", False, "c9"),
    ]
    return Dataset.of(root, images, [image(root, "t/1.png", False, "c9")])


def test_order_and_properties(dataset) -> None:
    assert [i.image.name for i in dataset.images] == ["1.png", "2.png", "9.png", "10.png"]
    assert dataset.classes == ("c9", "c10") and dataset.name == "set"
    assert not dataset.has_masks and dataset.has_normal_images
    assert [i.image.name for i in dataset.maskless] == ["1.png"]


def test_restriction(dataset) -> None:
    kept = dataset.restricted_to(["c10"])
    assert kept.classes == ("c10",) and kept.has_masks and kept.normal_train_images == ()
    assert dataset.restricted_to(["c10", "c9", "c9"]) == dataset
    with pytest.raises(InputError, match=r"has no class 'c8'; did you mean 'c9'\?"):
        dataset.restricted_to(["c8"])
    with pytest.raises(InputError, match="no class 'screw'; it has c9, c10"):
        dataset.restricted_to(["screw"])
    with pytest.raises(InputError, match="no test image"):
        dataset.restricted_to([])


def test_refusals(tmp_path) -> None:
    normal, broken = image(tmp_path, "1.png"), image(tmp_path, "2.png", True)
    with pytest.raises(InputError, match="no test image"):
        Dataset.of(tmp_path, [])
    with pytest.raises(InputError, match=r"names the image .* 2 times"):
        Dataset.of(tmp_path, [normal, replace(normal, image=tmp_path / "x" / ".." / "1.png")])
    with pytest.raises(InputError, match=r"names the image .* 2 times"):
        Dataset.of(tmp_path, [normal], [normal])
    with pytest.raises(InputError, match="both 'nut' and 'lid'"):
        Dataset.of(tmp_path, [normal, replace(broken, noun="lid")])
    with pytest.raises(InputError, match=r"'a' has only normal images, 'b' only anomalous"):
        Dataset.of(tmp_path, [replace(normal, class_name="a"), replace(broken, class_name="b")])


def test_shared_empty_mask_of_normal_images(tmp_path) -> None:
    mask = image(tmp_path, "m.png").image
    Dataset.of(tmp_path, [image(tmp_path, "1.png", mask=mask), image(tmp_path, "2.png", mask=mask)])
    with pytest.raises(InputError, match="names the mask"):
        Dataset.of(tmp_path, [image(tmp_path, f"{n}.png", True, mask=mask) for n in (1, 2)])


def test_one_class_of_one_label_beside_a_mixed_one(tmp_path) -> None:
    mixed = [image(tmp_path, "1.png", False, "a"), image(tmp_path, "2.png", True, "a")]
    Dataset.of(tmp_path, [*mixed, image(tmp_path, "3.png", True, "b")])


def fresh(dataset: Dataset, **changes) -> str:
    return replace(dataset, **changes).manifest_hash


def test_hash_ignores_place_order_and_name(dataset, tmp_path) -> None:
    assert len(dataset.manifest_hash) == 64
    assert fresh(dataset, name="other", images=dataset.images[::-1]) == dataset.manifest_hash
    moved = tmp_path / "moved"
    shutil.copytree(dataset.root, moved)

    def there(i: DatasetImage) -> DatasetImage:
        mask = None if i.mask is None else moved / i.mask.relative_to(dataset.root)
        return replace(i, image=moved / i.image.relative_to(dataset.root), mask=mask)

    copied = Dataset.of(moved, map(there, dataset.images), map(there, dataset.normal_train_images))
    assert copied.manifest_hash == dataset.manifest_hash


@pytest.mark.parametrize(
    "change",
    [{"noun": "lid"}, {"defect_type": "cut"}, {"mask": None}, {"anomalous": False}, {"class_name": "c8"}],
)
def test_hash_depends_on_labels(dataset, change) -> None:
    *others, last = dataset.images
    assert fresh(dataset, images=(*others[:2], replace(last, **change))) != fresh(
        dataset, images=(*others[:2], last)
    )


def test_hash_depends_on_content(dataset) -> None:
    former = dataset.manifest_hash
    mask = dataset.images[-1].mask
    mask.write_bytes(b"x" * mask.stat().st_size)
    changed = fresh(dataset)
    assert changed != former
    file = dataset.images[0].image
    file.write_bytes(bytes(file.stat().st_size))
    assert fresh(dataset) not in (former, changed)
    assert fresh(dataset, normal_train_images=()) != fresh(dataset)


@pytest.mark.parametrize("place", [0, 100_000, 199_999])
def test_every_byte_of_a_large_image_counts(dataset, place) -> None:
    file, held = dataset.images[0].image, bytearray(200_000)
    file.write_bytes(held)
    former, seen = fresh(dataset), file.stat()
    held[place] = 1
    file.write_bytes(held)
    os.utime(file, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert fresh(dataset) != former


def test_images_are_known_again_under_other_names(dataset, tmp_path) -> None:
    other = tmp_path / "elsewhere" / "renamed.bin"
    other.parent.mkdir()
    shutil.copy(dataset.images[0].image, other)
    (mark,) = content_marks([replace(dataset.images[0], image=other)])
    assert mark == hashlib.sha256(other.read_bytes()).hexdigest()[:16]
    assert mark in dataset.content_marks
    everything = [*dataset.images, *dataset.normal_train_images]
    assert dataset.content_marks == {
        hashlib.sha256(entry.image.read_bytes()).hexdigest()[:16] for entry in everything
    }


def test_hash_of_missing_file(dataset) -> None:
    os.remove(dataset.images[0].image)
    with pytest.raises(InputError, match=r"cannot read .*1\.png'"):
        _ = dataset.manifest_hash


def test_nothing_imports_torch() -> None:
    modules = ["contents", "dataset", "fingerprint", "folders", "inspection", "masks", "nouns", "spec"]
    readers = ["folder", "manifest", "meta", "mvtec", "visa"]
    names = [
        *(f"zsad.data.{name}" for name in modules),
        *(f"zsad_plugins.datasets.{name}" for name in readers),
        "zsad_plugins.drawn.datasets",
    ]
    heavy = "{'torch', 'scipy', 'transformers', 'gradio'} & set(sys.modules)"
    code = f"import sys, zsad.cli.datasets, {', '.join(names)}; sys.exit(bool({heavy}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
