"""The one walk: what is found, what is left out, and that nothing is lost between the two."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsad.data import walk as walking
from zsad.errors import InputError


def find_images(paths):
    return list(walking.find_images(paths).images)


def test_an_unreadable_folder_is_refused_and_not_left_out(public_path, unprivileged):
    for name in ("open", "closed"):
        (public_path / name).mkdir()
        (public_path / name / "x.png").touch()
    assert len(find_images(public_path)) == 2
    (public_path / "closed").chmod(0)
    with unprivileged():
        assert find_images(public_path / "open") == [public_path / "open" / "x.png"]
        for path in (public_path, public_path / "closed", public_path / "closed" / "x.png"):
            with pytest.raises(InputError, match="Permission denied"):
                find_images(path)


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "set"
    names = (
        "10.png",
        "2.PNG",
        "1.jpeg",
        "b/1.tiff",
        "b/c/2.webp",
        "a10/1.gif",
        "a9/1.bmp",
        "a9/x.JPG",
        "3.tif",
    )
    for name in (*names, ".hidden.png", ".git/x.png", "b/._1.tiff", "notes.txt", "b/mask.npy", "png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


ORDER = ["1.jpeg", "2.PNG", "3.tif", "10.png", "a9/1.bmp", "a9/x.JPG", "a10/1.gif", "b/1.tiff", "b/c/2.webp"]


def test_folders_are_searched_in_natural_order(folder):
    assert find_images(folder) == [folder / name for name in ORDER]
    assert find_images(str(folder)) == [folder / name for name in ORDER]


def test_given_files_keep_their_order_and_nothing_comes_twice(folder):
    (folder / "odd.suffix").touch()
    given_paths = [folder / "10.png", folder / "odd.suffix", folder, folder / "2.PNG", folder / "b"]
    expected = [folder / "10.png", folder / "odd.suffix"]
    expected += [folder / name for name in ORDER if name != "10.png"]
    assert find_images(given_paths) == expected


def test_relative_and_hidden_roots(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert find_images(".")[:2] == [Path("1.jpeg"), Path("2.PNG")]
    assert find_images([".git"]) == [Path(".git/x.png")]


def test_links_are_followed_and_loops_end(folder):
    (folder / "b" / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "z").symlink_to(folder / "a9", target_is_directory=True)
    found = [path.relative_to(folder).as_posix() for path in find_images(folder)]
    # The link and its target are one folder: its images are listed once, under one of the two names.
    assert len(found) == len(ORDER)
    assert {os.path.realpath(folder / name) for name in found} == {str(folder / name) for name in ORDER}


def test_links_to_folders_elsewhere_are_followed(folder, tmp_path):
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / "set").symlink_to(folder / "b", target_is_directory=True)
    expected = [tmp_path / "link" / "set" / name for name in ("1.tiff", "c/2.webp")]
    assert find_images(tmp_path / "link") == expected


def test_missing_and_empty_folders_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"absent.*No such file"):
        find_images([tmp_path / "absent"])
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").touch()
    with pytest.raises(InputError, match=r"no image in folder '.*empty' \(looked for \.png"):
        find_images([tmp_path / "empty"])
    with pytest.raises(InputError, match="no image was given"):
        find_images([])


@given(
    st.lists(
        st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=6),
        min_size=1,
        unique=True,
    )
)
def test_any_names_can_be_ordered(tmp_path_factory, names):
    root = tmp_path_factory.mktemp("names")
    for name in names:
        (root / f"{name}.png").touch()
    assert sorted(path.name for path in find_images(root)) == sorted(f"{name}.png" for name in names)
