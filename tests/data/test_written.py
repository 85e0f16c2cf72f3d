"""Paths written in lists: relative, absolute, made on Windows or elsewhere, with accents of either form."""

from __future__ import annotations

import os
import unicodedata

import pytest

from zsad.data.written import file_named, require_regular
from zsad.errors import InputError


@pytest.mark.parametrize("text", ["a.png", "./a.png", "x/../a.png", "..a.png"])
def test_inside(tmp_path, text) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "..a.png").touch()
    assert file_named(tmp_path, text, "here") == tmp_path / os.path.basename(text)


@pytest.mark.parametrize("text", ["../a.png", "x/../../a.png", "{}/a.png"])
def test_outside_where_a_file_is(tmp_path, text) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "inner").mkdir()
    assert file_named(tmp_path / "inner", text.format(tmp_path), "here") == tmp_path / "a.png"


@pytest.mark.parametrize("text", ["../b.png", "x/../../b.png", "/b.png", "..", "/"])
def test_outside_where_none_is(tmp_path, text) -> None:
    (tmp_path / "inner").mkdir()
    with pytest.raises(InputError, match=r"here: no file '.*' in folder '.*inner'"):
        file_named(tmp_path / "inner", text, "here")


@pytest.mark.parametrize("text", ["none.png", "", ".", "a\0b", "x" * 5000, "a\\b", "é" * 5000])
def test_no_file(tmp_path, text) -> None:
    with pytest.raises(InputError, match="here: no file"):
        file_named(tmp_path, text, "here")


def test_backslashes_part_folders_unless_a_file_has_them(tmp_path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.png").touch()
    assert file_named(tmp_path, "a\\b.png", "here") == tmp_path / "a" / "b.png"
    (tmp_path / "a\\b.png").touch()
    assert file_named(tmp_path, "a\\b.png", "here") == tmp_path / "a\\b.png"


@pytest.mark.parametrize(
    "text", ["/home/you/colon/images/0.png", "D:\\data\\colon\\images\\0.png", "c:/colon/colon/images/0.png"]
)
def test_absolute_paths_of_another_machine(tmp_path, text) -> None:
    folder = tmp_path / "colon"
    (folder / "images").mkdir(parents=True)
    (folder / "images" / "0.png").touch()
    assert file_named(folder, text, "here") == folder / "images" / "0.png"
    with pytest.raises(InputError, match="no file"):
        file_named(folder, text.replace("colon", "polyp"), "here")


@pytest.mark.parametrize(("on_disk", "written"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_accents_of_either_form(tmp_path, on_disk, written) -> None:
    place = tmp_path / unicodedata.normalize(on_disk, "défaut")
    place.mkdir()
    for name in ("1.png", unicodedata.normalize(on_disk, "été.png")):
        (place / name).touch()
        text = unicodedata.normalize(written, f"défaut/{name}")
        assert file_named(tmp_path, text, "here") == place / name


def test_a_file_of_the_very_name_comes_first(tmp_path) -> None:
    for form in ("NFC", "NFD"):
        (tmp_path / unicodedata.normalize(form, "é.png")).touch()
    for form in ("NFC", "NFD"):
        name = unicodedata.normalize(form, "é.png")
        assert file_named(tmp_path, name, "here").name == name


def test_only_regular_files_are_lists(tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, type(tmp_path)("/dev/zero")):
        with pytest.raises(InputError, match=r"cannot read '.*': it is not a regular file"):
            require_regular(path)
    with pytest.raises(InputError, match=r"cannot read '.*none': No such file"):
        require_regular(tmp_path / "none")
    (tmp_path / "list").touch()
    require_regular(tmp_path / "list")
