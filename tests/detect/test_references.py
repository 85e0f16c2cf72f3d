from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from zsad.detect.memories import EVERY_CLASS, ReferenceFacts
from zsad.detect.references import ReferenceRequest, find_references, refuse_tested
from zsad.detect.remember import read_references
from zsad.errors import InputError


def draw(path: Path, seed: int, size: tuple[int, int] = (8, 6)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def mark(path: Path, size: tuple[int, int] = (8, 6), value: int = 255) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(size, value, np.uint8)).save(path)
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Callable[[Mapping[str, int]], Path]:
    """Draw images by name and seed below a folder, which is returned."""

    def drawn(images: Mapping[str, int]) -> Path:
        root = tmp_path / "references"
        for name, seed in images.items():
            draw(root / name, seed)
        return root

    return drawn


def names(root: Path, **request: object) -> dict[str, list[str]]:
    found = find_references(ReferenceRequest(root, **request))  # type: ignore[arg-type]
    return {
        name: sorted(file.image.relative_to(root).as_posix() for file in files)
        for name, files in found.classes.items()
    }


Tree = Callable[[Mapping[str, int]], Path]


def test_images_in_the_folder_are_one_set_for_every_class(tree: Tree) -> None:
    root = tree({"a.png": 0, "lot/b.png": 1, "lot/c.png": 2})
    assert names(root) == {EVERY_CLASS: ["a.png", "lot/b.png", "lot/c.png"]}
    assert find_references(ReferenceRequest(root)).named("anything") == EVERY_CLASS


def test_folders_alone_are_a_set_for_each_class(tree: Tree) -> None:
    root = tree({"metal_nut/a.png": 0, "metal_nut/lot/b.png": 1, "bolt/c.png": 2})
    assert names(root) == {"bolt": ["bolt/c.png"], "metal_nut": ["metal_nut/a.png", "metal_nut/lot/b.png"]}
    found = find_references(ReferenceRequest(root))
    assert found.named("metal nut") == found.named("metal_nut") == "metal_nut"
    with pytest.raises(
        InputError, match=r"no folder of class 'bolts'; did you mean 'bolt'\? \(there are bolt"
    ):
        found.of("bolts")


def test_one_image_is_one_reference(tree: Tree) -> None:
    root = tree({"a.png": 0})
    found = find_references(ReferenceRequest(root / "a.png"))
    assert [file.image for file in found.of("bolt")] == [root / "a.png"]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), shots=st.integers(1, 6), order=st.permutations(range(6)))
def test_a_draw_depends_on_what_files_hold_and_not_on_their_names(
    tmp_path_factory: pytest.TempPathFactory, seed: int, shots: int, order: list[int]
) -> None:
    drawn = []
    for naming in (range(6), order):
        root = tmp_path_factory.mktemp("draw")
        for number, place in enumerate(naming):
            draw(root / f"{place}.png", number)
        files = find_references(ReferenceRequest(root, shots=shots, seed=seed)).of("x")
        drawn.append([file.facts.content for file in files])
        assert len(set(drawn[-1])) == shots
        more = find_references(ReferenceRequest(root, shots=6, seed=seed)).of("x")
        assert [file.facts.content for file in more][:shots] == drawn[-1]
    assert drawn[0] == drawn[1]


def test_seeds_draw_differently_and_every_image_has_its_turn(tree: Tree) -> None:
    root = tree({f"{number}.png": number for number in range(6)})
    drawn = [names(root, shots=1, seed=seed)[EVERY_CLASS][0] for seed in range(60)]
    assert {drawn.count(f"{number}.png") > 2 for number in range(6)} == {True}


def test_copies_count_once_and_what_is_no_image_is_told(tree: Tree) -> None:
    root = tree({"a.png": 0, "b.png": 0, "c.png": 1})
    (root / "notes.txt").write_text("x")
    found = find_references(ReferenceRequest(root))
    assert len(found.of("x")) == 2 and [path.name for path in found.copies] == ["b.png"]
    assert [entry.path.name for entry in found.left_out] == ["notes.txt"]
    with pytest.raises(InputError, match=r"--shots 3: '.*references' has 2 different images"):
        find_references(ReferenceRequest(root, shots=3))


def test_abnormal_references_find_their_masks_by_stem(tmp_path: Path) -> None:
    for name in ("bolt", "nut"):
        draw(tmp_path / "good" / name / "a.png", len(name))
        draw(tmp_path / "bad" / name / "x.png", 9 + len(name))
        mark(tmp_path / "masks" / name / "x_mask.png")
    request = ReferenceRequest(tmp_path / "good", tmp_path / "bad", tmp_path / "masks")
    files = find_references(request).of("nut")
    assert [file.mask and file.mask.name for file in files] == [None, "x_mask.png"]
    normal, abnormal = read_references(files, "nut")
    assert normal.mask is None and abnormal.mask is not None and abnormal.mask.all()
    assert abnormal.facts.mask is not None and abnormal.sample.class_name == "nut"

    mark(tmp_path / "masks" / "nut" / "x_mask.png", value=0)
    with pytest.raises(InputError, match=r"x_mask.png' marks nothing"):
        read_references(find_references(request).of("nut"), "nut")
    shutil.rmtree(tmp_path / "bad" / "nut")
    shutil.rmtree(tmp_path / "masks" / "nut")
    with pytest.raises(InputError, match="differ in their classes: only one of them has a folder 'nut'"):
        find_references(request)


def test_an_image_cannot_be_normal_and_abnormal(tmp_path: Path) -> None:
    draw(tmp_path / "good" / "a.png", 0)
    draw(tmp_path / "bad" / "b.png", 0)
    mark(tmp_path / "masks" / "b.png")
    with pytest.raises(
        InputError, match=r"the abnormal reference '.*b.png' holds what the normal one '.*a.png'"
    ):
        find_references(ReferenceRequest(tmp_path / "good", tmp_path / "bad", tmp_path / "masks"))


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"shots": 0}, "--shots 0: draw 1 reference or more"),
        ({"abnormal": Path("x")}, "--reference-abnormal needs --reference-masks"),
        ({"masks": Path("x")}, "--reference-masks needs --reference-abnormal"),
    ],
)
def test_requests_that_make_no_sense_are_refused(fields: dict[str, object], why: str) -> None:
    with pytest.raises(InputError, match=why):
        ReferenceRequest(Path("r"), **fields)  # type: ignore[arg-type]


def test_a_tested_reference_is_refused_by_both_names(tree: Tree, tmp_path: Path) -> None:
    root = tree({"a.png": 0})
    facts: list[ReferenceFacts] = [file.facts for file in find_references(ReferenceRequest(root)).of("x")]
    other, same = draw(tmp_path / "other.png", 1), draw(tmp_path / "same.png", 0)
    refuse_tested(facts, [other, tmp_path / "missing.png", tmp_path])
    with pytest.raises(InputError, match=r"'.*same.png' is among the references too \('.*a.png'\)"):
        refuse_tested(facts, [other, same])
