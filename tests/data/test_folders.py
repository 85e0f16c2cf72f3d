"""Natural order, masks by stem, and paths that have to stay inside a folder."""

from __future__ import annotations

import random
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsad.data.folders import (
    MASK_ENDINGS,
    images_beside,
    images_in,
    named,
    pair_masks,
    require_folder,
    require_masks,
    subfolders,
)
from zsad.data.order import natural_key
from zsad.errors import InputError

STEMS = st.text("abcxyz0123456789-. ", min_size=1, max_size=6).filter(lambda s: s.strip(". ") == s)


@given(st.lists(st.text("ab01_. ", max_size=5), unique=True))
def test_natural_order_is_total(names) -> None:
    expected = sorted(names, key=natural_key)
    shuffled = random.Random(0).sample(names, len(names))
    assert sorted(shuffled, key=natural_key) == expected


def test_natural_order() -> None:
    names = ["a10", "b", "a", "a9", "A9", "a09", "10", "9"]
    assert sorted(names, key=natural_key) == ["9", "10", "a", "A9", "a09", "a9", "a10", "b"]


@given(st.sets(STEMS, max_size=8), st.data())
def test_masks_are_paired_by_stem_whatever_the_order(stems, data) -> None:
    images = [Path("i") / f"{stem}.jpg" for stem in stems]
    marked = data.draw(st.lists(st.sampled_from(images), unique=True)) if images else []
    expected = {
        image: Path("m") / f"{image.stem}{data.draw(st.sampled_from(['', *MASK_ENDINGS, '_MASK']))}.png"
        for image in marked
    }
    masks = data.draw(st.permutations(list(expected.values())))
    assert pair_masks(data.draw(st.permutations(images)), masks) == expected


@given(st.sets(STEMS, min_size=1, max_size=8), STEMS)
def test_masks_without_image_are_refused(stems, other) -> None:
    images = [Path(f"{stem}.jpg") for stem in stems - {other}]
    with pytest.raises(InputError, match="has no image"):
        pair_masks(images, [Path(f"{other}.png")])


def test_own_stem_wins() -> None:
    images = [Path("1.png"), Path("1_mask.png")]
    assert pair_masks(images, [Path("m/1_mask.png")]) == {images[1]: Path("m/1_mask.png")}


def test_two_masks_and_two_owners() -> None:
    with pytest.raises(InputError, match="has two masks"):
        pair_masks([Path("1.jpg")], [Path("1.png"), Path("1_mask.png")])
    twins = [Path("1.jpg"), Path("1.png")]
    assert pair_masks(twins, []) == {}
    with pytest.raises(InputError, match=r"could be of '1\.jpg' or '1\.png'"):
        pair_masks(twins, [Path("m/1.png")])


def test_require_masks() -> None:
    images = [Path("1.png"), Path("2.png"), Path("3.png")]
    require_masks(images[:1], {images[0]: Path("m")}, Path("masks"))
    with pytest.raises(InputError, match=r"'2\.png' \(and 1 more\) has no mask in 'masks'"):
        require_masks(images, {images[0]: Path("m")}, Path("masks"))


def test_listing(tmp_path) -> None:
    for name in ("10.PNG", "9.jpg", ".hidden.png", "notes.txt"):
        (tmp_path / name).touch()
    for name in ("b", "a", ".git", "x.png"):
        (tmp_path / name).mkdir()
    (tmp_path / "b" / "7.JFIF").touch()
    assert [path.name for path in images_beside(tmp_path)] == ["9.jpg", "10.PNG"]
    assert [path.name for path in images_in(tmp_path)] == ["9.jpg", "10.PNG", "7.JFIF"]
    assert [path.name for path in subfolders(tmp_path)] == ["a", "b", "x.png"]
    with pytest.raises(InputError, match="cannot read"):
        images_in(tmp_path / "none")


def test_unreadable_folder(public_path, unprivileged) -> None:
    folder = public_path / "closed"
    folder.mkdir(mode=0o000)
    with unprivileged(), pytest.raises(InputError, match=r"cannot read '.*closed': Permission denied"):
        images_in(folder)
    folder.chmod(0o755)


def test_require_folder(tmp_path, monkeypatch) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    assert require_folder(tmp_path / "link").name == "link"
    monkeypatch.chdir(tmp_path)
    assert require_folder(Path(".")) == tmp_path
    with pytest.raises(InputError, match="no folder"):
        require_folder(tmp_path / "none")


@pytest.mark.parametrize(("of_image", "of_mask"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_masks_are_paired_whatever_the_form_of_accents(of_image, of_mask) -> None:
    image = Path("i") / unicodedata.normalize(of_image, "fêlé.png")
    mask = Path("m") / unicodedata.normalize(of_mask, "fêlé_mask.png")
    assert image.stem + "_mask" != mask.stem
    assert pair_masks([image], [mask]) == {image: mask}


def test_the_very_name_wins_over_the_form_of_accents() -> None:
    images = [Path("i") / unicodedata.normalize(form, "é.png") for form in ("NFC", "NFD")]
    masks = [Path("m") / image.name for image in images]
    assert pair_masks(images, masks) == dict(zip(images, masks, strict=True))


def test_nested_masks_of_one_stem_are_told_apart_by_their_folders() -> None:
    images = [Path("i/a/0.png"), Path("i/b/0.png"), Path("i/1.png")]
    masks = [Path("m/b/0.png"), Path("m/a/0_mask.png"), Path("m/deep/1.png")]
    expected = {images[1]: masks[0], images[0]: masks[1], images[2]: masks[2]}
    assert pair_masks(images, masks, (Path("i"), Path("m"))) == expected
    with pytest.raises(InputError, match="could be of"):
        pair_masks(images, masks)
    with pytest.raises(InputError, match="could be of"):
        pair_masks(images, [Path("m/0.png")], (Path("i"), Path("m")))


def test_folders_of_systems_and_of_zsad_are_no_folders_of_a_set(tmp_path) -> None:
    for name in ("__MACOSX", "@eaDir", ".git", "b", "cells"):
        (tmp_path / name).mkdir()
    assert [path.name for path in subfolders(tmp_path)] == ["b", "cells"]
    (tmp_path / "run.json").write_text('{"cells": [], "methods": {}, "environment": {}}')
    assert [path.name for path in subfolders(tmp_path)] == ["b"]


def test_named_folders(tmp_path) -> None:
    (tmp_path / "Test").mkdir()
    assert named(tmp_path, "test") == tmp_path / "Test"
    (tmp_path / "test").mkdir()
    assert named(tmp_path, "test") == tmp_path / "test"
    assert named(tmp_path, "train") == tmp_path / "train"
    assert named(tmp_path / "none", "test") == tmp_path / "none" / "test"
