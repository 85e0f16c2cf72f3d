"""The one walk: what is found, what is left out, and that nothing is lost between the two."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsad.data import walk as walking
from zsad.data.left_out import left_out_words
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


def rest(found: walking.Found, root: Path) -> dict[str, str]:
    """Return the reasons by path below a folder."""
    return {entry.path.relative_to(root).as_posix(): entry.reason for entry in found.left_out}


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_everything_that_is_not_taken_has_its_reason(tmp_path) -> None:
    touch(tmp_path, "a.PNG", "good/cam/b.JFIF", "c.jpe", "d.HEIC", "e.avif", "notes.txt", "README")
    touch(tmp_path, ".DS_Store", "good/Thumbs.db", "._a.png", "desktop.ini", ".secret.png", ".git/x.png")
    touch(tmp_path, "@eaDir/a.png/SYNOPHOTO_THUMB_M.jpg", "__MACOSX/good/._b.jpg", "#recycle/old.png")
    (tmp_path / "dead.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "self.png").symlink_to(tmp_path / "self.png")
    os.mkfifo(tmp_path / "pipe.png")
    found = walking.walk(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in found.images] == [
        "a.PNG",
        "c.jpe",
        "good/cam/b.JFIF",
    ]
    system, hidden, needs = "left behind by a system", "hidden", "needs converting to PNG or JPEG"
    assert rest(found, tmp_path) == {
        "d.HEIC": f".heic {needs}",
        "e.avif": f".avif {needs}",
        "notes.txt": ".txt is no image",
        "README": "no suffix of an image",
        ".DS_Store": system,
        "good/Thumbs.db": system,
        "._a.png": system,
        "desktop.ini": system,
        ".secret.png": hidden,
        ".git/x.png": hidden,
        "@eaDir/a.png/SYNOPHOTO_THUMB_M.jpg": system,
        "__MACOSX/good/._b.jpg": system,
        "#recycle/old.png": system,
        "dead.png": "a link to nothing",
        "self.png": "a link to nothing",
        "pipe.png": "no regular file",
    }


def test_left_out_in_one_line(tmp_path) -> None:
    touch(tmp_path, "a.png", "b.heic", "c.heic", ".DS_Store")
    words = left_out_words(walking.walk(tmp_path).left_out)
    assert words == (
        "left out: 3, because .heic needs converting to PNG or JPEG (2), left behind by a system (1)"
    )
    assert left_out_words([]) == ""
    (tmp_path / "a.png").unlink()
    with pytest.raises(InputError, match=r"no image in folder .*; left out: 3, because \.heic needs"):
        find_images(tmp_path)


def test_links_back_are_named_and_not_followed(tmp_path) -> None:
    touch(tmp_path, "set/good/1.png", "set/bad/2.png", "elsewhere/3.png", "elsewhere/deep/4.png")
    root = tmp_path / "set"
    (root / "good" / "up").symlink_to(tmp_path)
    (root / "good" / "across").symlink_to(root / "bad")
    (root / "more").symlink_to(tmp_path / "elsewhere")
    (root / "again").symlink_to(tmp_path / "elsewhere" / "deep")
    (root / "one.png").symlink_to(root / "good" / "1.png")
    found = walking.walk(root)
    assert [path.relative_to(root).as_posix() for path in found.images] == [
        "again/4.png",
        "bad/2.png",
        "good/1.png",
        "more/3.png",
        "one.png",
    ]
    back = "a link back into the same folders"
    assert rest(found, root) == {
        "good/up": back,
        "good/across": back,
        "more/deep": "found under another name already",
    }


def test_what_predict_wrote_is_left_out(tmp_path) -> None:
    touch(tmp_path, "0.png", "0_overlay.png", "1.png", "p/1_overlay.png", "p/0_map.npy", "p/own.png")
    entry = {"path": "0.png", "score": 0.5, "overlay": "0_overlay.png"}
    (tmp_path / "predictions.json").write_text(json.dumps({"images": [entry]}))
    windows = {"path": "/x/1.png", "score": 1, "overlay": "C:\\x\\1_overlay.png"}
    lines = [windows, {**entry, "map": "/y/0_map.npy"}]
    (tmp_path / "p" / "predictions.jsonl").write_text("\n".join(map(json.dumps, lines)) + '\n{"path": "cut')
    found = walking.find_images(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in found.images] == ["0.png", "1.png", "p/own.png"]
    assert rest(found, tmp_path) == dict.fromkeys(
        ("0_overlay.png", "predictions.json", "p/1_overlay.png", "p/0_map.npy", "p/predictions.jsonl"),
        "written by zsad",
    )
    named = walking.find_images([tmp_path / "0.png", tmp_path / "0_overlay.png"])
    assert named.images == (tmp_path / "0.png",) and rest(named, tmp_path) == {
        "0_overlay.png": "written by zsad"
    }
    with pytest.raises(InputError, match=r"no image is left: left out: 1, because written by zsad"):
        find_images(tmp_path / "0_overlay.png")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"images": [{"file_name": "0.png"}]}',
        '{"images": [{"path": "0.png"}]}',
        "[1]" * 9,
        "\xff",
    ],
)
def test_other_files_of_that_name_say_nothing(tmp_path, text) -> None:
    touch(tmp_path, "0.png")
    (tmp_path / "predictions.json").write_text(text, encoding="latin-1")
    found = walking.walk(tmp_path)
    assert found.images == (tmp_path / "0.png",) and len(found.left_out) == 1


def test_records_that_never_end_are_not_read(tmp_path) -> None:
    touch(tmp_path, "0.png")
    for name in ("predictions.json", "run.json"):
        os.mkfifo(tmp_path / name)
    assert rest(walking.walk(tmp_path), tmp_path) == {
        "predictions.json": "no regular file",
        "run.json": "no regular file",
    }


def test_the_pictures_of_an_evaluation_are_left_out(tmp_path) -> None:
    touch(tmp_path, "0.png", "cells/abc/1.png", "other/cells/2.png")
    run = {"cells": ["abc"], "methods": {}, "environment": {}}
    (tmp_path / "run.json").write_text(json.dumps(run))
    found = walking.walk(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in found.images] == ["0.png", "other/cells/2.png"]
    assert rest(found, tmp_path) == dict.fromkeys(("run.json", "cells/abc/1.png"), "written by zsad")


def test_the_folder_for_results_is_left_out_unless_it_is_the_folder_of_images(tmp_path) -> None:
    touch(tmp_path, "0.png", "out/1.png", "out/deep/2.png")
    found = walking.find_images(tmp_path, tmp_path / "x" / ".." / "out")
    assert found.images == (tmp_path / "0.png",)
    assert set(rest(found, tmp_path).values()) == {"below the folder of --out"}
    assert len(walking.find_images(tmp_path, tmp_path).images) == 3


def test_empty_names_are_refused() -> None:
    with pytest.raises(InputError, match="an empty name was given for an image"):
        find_images([""])
    with pytest.raises(InputError, match="an empty name"):
        find_images(["a.png", ""][1:])


def test_a_closed_folder_of_a_system_does_not_matter(public_path, unprivileged) -> None:
    touch(public_path, "0.png", "lost+found/1.png", "closed/2.png")
    for name in ("lost+found", "closed"):
        (public_path / name).chmod(0)
    with unprivileged():
        with pytest.raises(InputError, match=r"cannot read '.*closed': Permission denied"):
            walking.walk(public_path)
        found = walking.walk(public_path, patient=True)
    for name in ("lost+found", "closed"):
        (public_path / name).chmod(0o755)
    assert found.images == (public_path / "0.png",)
    assert rest(found, public_path) == {"lost+found": "left behind by a system", "closed": "cannot be read"}
