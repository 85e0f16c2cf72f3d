from __future__ import annotations

import os
from pathlib import Path

from zsad_demo.guard.disk import Disk


def entry(folder: Path, name: str, size: int, age: int) -> Path:
    file = folder / name / "x.png"
    file.parent.mkdir()
    file.write_bytes(bytes(size))
    os.utime(file, (1_000_000 - age, 1_000_000 - age))
    return file


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_in_all_what_was_unused_for_longest_goes(tmp_path: Path) -> None:
    entry(tmp_path, "own", 900, 99)
    disk = Disk(tmp_path, per_visitor=10_000, in_all=300)
    old, _, _ = (entry(tmp_path, name, 100, age) for name, age in (("old", 9), ("mid", 5), ("new", 1)))
    disk.make_room("v")
    assert left(tmp_path) == {"own", "old", "mid", "new"}
    disk.touch(old)
    disk.make_room("v", coming=100)
    assert left(tmp_path) == {"own", "old", "new"}


def test_a_visitor_pays_with_the_own_files(tmp_path: Path) -> None:
    disk = Disk(tmp_path, per_visitor=250, in_all=10_000)
    for number in range(4):
        disk.give(entry(tmp_path, f"a{number}", 100, 50 - number), "a")
        disk.give(entry(tmp_path, f"b{number}", 50, 90 - number), "b")
    disk.make_room("a")
    assert left(tmp_path) == {"a2", "a3", "b0", "b1", "b2", "b3"}


def test_the_newest_stays_however_large(tmp_path: Path) -> None:
    disk = Disk(tmp_path, per_visitor=10, in_all=10)
    disk.give(entry(tmp_path, "before", 100, 9), "a")
    disk.give(entry(tmp_path, "made", 100, 1), "a")
    disk.make_room("a")
    assert left(tmp_path) == {"made"}


def test_links_and_paths_from_elsewhere_are_left_alone(tmp_path: Path) -> None:
    folder, outside = tmp_path / "kept", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    entry(outside, "x", 100, 99)
    disk = Disk(folder, per_visitor=10, in_all=10)
    (folder / "link").symlink_to(outside)
    disk.give(outside / "x" / "x.png", "a")
    entry(folder, "new", 100, 1)
    disk.make_room("a")
    assert (outside / "x" / "x.png").is_file()
