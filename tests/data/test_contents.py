"""Hashes of files: every byte counts, and what has not changed is not read again."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from pathlib import Path

import pytest

from zsad.data import contents as module
from zsad.data.contents import SETTLED, content, contents
from zsad.errors import InputError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZSAD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock stands a while after whatever a test writes."""
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + 2 * SETTLED)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are read."""
    seen: list[Path] = []
    digest = module._digest

    def watched(path: Path) -> str:
        seen.append(path)
        return digest(path)

    monkeypatch.setattr(module, "_digest", watched)
    return seen


def expected(path: Path) -> str:
    held = path.read_bytes()
    return f"{len(held)}:{hashlib.sha256(held).hexdigest()}"


def test_files_are_read_once(cache, later, read, tmp_path) -> None:
    files = [tmp_path / f"{number}.bin" for number in range(20)]
    for number, file in enumerate(files):
        file.write_bytes(bytes([number]) * 100_000)
    first = contents(files)
    assert first == {file: expected(file) for file in files} and sorted(read) == sorted(files)
    assert contents([*files, files[0]]) == first and len(read) == len(files)
    assert content(files[3]) == first[files[3]] and len(read) == len(files) + 1


@pytest.mark.parametrize("place", [0, 50_000, 99_999])
def test_a_change_is_noticed_even_with_the_old_times(cache, later, read, tmp_path, place) -> None:
    file = tmp_path / "a.bmp"
    file.write_bytes(bytes(100_000))
    former, seen = contents([file])[file], file.stat()
    time.sleep(0.05)  # more than a tick of the file system's clock
    with file.open("r+b") as stream:
        stream.seek(place)
        stream.write(b"x")
    os.utime(file, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert file.stat().st_mtime_ns == seen.st_mtime_ns
    assert contents([file])[file] == expected(file) != former


def test_a_file_of_this_moment_is_hashed_again(cache, read, tmp_path) -> None:
    file = tmp_path / "a.bin"
    file.write_bytes(b"1")
    assert contents([file]) == contents([file]) and len(read) == 2


def test_a_cache_that_does_not_work_costs_time_only(cache, later, read, tmp_path, monkeypatch) -> None:
    file = tmp_path / "a\udcff.bin"
    file.write_bytes(b"1")
    cache.mkdir()
    (cache / module.FILE).write_bytes(b"no database" * 100)
    assert contents([file])[file] == expected(file)
    monkeypatch.setenv("ZSAD_CACHE", str(file / "below"))
    assert contents([file])[file] == expected(file) and len(read) == 2


def test_names_that_are_no_text_are_kept(cache, later, read, tmp_path) -> None:
    file = tmp_path / "a\udcff.bin"
    file.write_bytes(b"1")
    assert contents([file]) == contents([file]) and len(read) == 1
    with sqlite3.connect(cache / module.FILE) as database:
        assert database.execute("SELECT path FROM contents").fetchall() == [(os.fsencode(file),)]


def test_a_missing_file_is_named(cache, tmp_path) -> None:
    with pytest.raises(InputError, match=r"cannot read '.*gone\.png'"):
        contents([tmp_path / "gone.png"])
    with pytest.raises(InputError, match=r"cannot read '.*gone\.png'"):
        content(tmp_path / "gone.png")
