"""A cache survives kills, full disks, damage and company."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.training.compare import assert_same
from tests.training.drawn_examples import DrawnExamples
from zsad.errors import ZsadError
from zsad.training.cache import CachedFeatures, open_cache
from zsad.training.cache.key import Reading
from zsad.training.cache.packing import Packed
from zsad.training.cache.shard import shard_path, write_shard

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[2]

BUILD = """
import sys, time
from pathlib import Path
from tests.loading import load_detector
from zsad.training.cache import open_cache
from tests.training.drawn_examples import DrawnExamples
config = Path("tests/assets/tiny-clip.json").absolute()
detector = load_detector(
    "anomalyclip", backbone=f"{config}@random:0", device="cpu", dtype="float32", untrained=True
)
def report(done, total):
    print(done, flush=True)
    time.sleep(float(sys.argv[2]))
print("ready", flush=True)
sys.stdin.readline()
source, folder = DrawnExamples(24), Path(sys.argv[1])
print(open_cache(detector, source, folder, batch_size=3, shard_size=4, report=report).folder)
"""


def building(folder: Path, pause: float = 0.0) -> subprocess.Popen[str]:
    """Start a process that fills the cache of :func:`whole` and waits for a line before it begins."""
    return subprocess.Popen(
        [sys.executable, "-c", BUILD, str(folder), str(pause)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def whole(load: Any, folder: Path, **options: Any) -> CachedFeatures:
    return open_cache(load(), DrawnExamples(24), folder, batch_size=3, shard_size=4, **options)


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


@pytest.fixture
def expected(load, tmp_path) -> dict[str, bytes]:
    """The files of a cache that was filled without a break."""
    found = content(whole(load, tmp_path / "unbroken").folder)
    assert len(found) == 7 and all(
        re.fullmatch(r"shard-0000\d\.safetensors|description\.json", n) for n in found
    )
    return found


def test_a_killed_run_is_gone_on_with(load, expected, tmp_path) -> None:
    folder = tmp_path / "cache"
    process = building(folder, pause=0.05)
    assert process.stdin and process.stdout
    process.stdin.write("\n")
    process.stdin.flush()
    while not len(list(folder.glob("*/shard-*"))) >= 2:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = {file.name: file.stat().st_ino for file in folder.glob("*/shard-*")}
    assert 2 <= len(left) < 6
    counts: list[int] = []
    found = whole(load, folder, report=lambda done, total: counts.append(done))
    assert counts[0] > 4 * len(left) and counts[-1] == 24
    kept = {name: (found.folder / name).stat().st_ino for name in left}
    assert kept == left  # not written again
    assert {name: data for name, data in content(found.folder).items() if name[0] != "."} == expected


def test_an_interrupted_run_leaves_whole_files_only(load, expected, tmp_path) -> None:
    def interrupt(done: int, total: int) -> None:
        if done > 12:
            raise KeyboardInterrupt

    folder = tmp_path / "cache"
    with pytest.raises(KeyboardInterrupt):
        whole(load, folder, report=interrupt)
    (cache,) = folder.iterdir()
    left = content(cache)
    assert 3 <= len(left) < 7 and left.items() <= expected.items()
    assert content(whole(load, folder).folder) == expected


def test_two_processes_at_once_both_succeed(expected, tmp_path) -> None:
    folder = tmp_path / "cache"
    both = [building(folder, pause=0.02) for _ in range(2)]
    for process in both:
        assert process.stdout and process.stdout.readline() == "ready\n"
    for process in both:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60)[0].splitlines() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert said[0][-1] == said[1][-1]
    assert content(Path(said[0][-1])) == expected


def shorten(file: Path) -> None:
    os.truncate(file, file.stat().st_size - 1)


def empty(file: Path) -> None:
    os.truncate(file, 0)


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)


def exchange(file: Path) -> None:
    shutil.copy(file.with_name("shard-00000.safetensors"), file)


def strip(file: Path) -> None:
    save_file(load_file(file), file)


@pytest.mark.parametrize("damage", [shorten, empty, flip, exchange, strip])
def test_a_damaged_file_is_made_anew(load, expected, tmp_path, damage) -> None:
    folder = whole(load, tmp_path).folder
    damage(shard_path(folder, 3))
    messages: list[str] = []
    source = DrawnExamples(24)
    open_cache(load(), source, tmp_path, batch_size=3, shard_size=4, warn=messages.append)
    (message,) = messages
    assert str(shard_path(folder, 3)) in message and "damaged" in message
    assert source.asked == [12, 13, 14, 15]
    assert content(folder) == expected


def test_a_lost_file_is_made_anew_without_a_word(load, expected, tmp_path) -> None:
    folder = whole(load, tmp_path).folder
    shard_path(folder, 0).unlink()
    messages: list[str] = []
    assert content(whole(load, tmp_path, warn=messages.append).folder) == expected and not messages


def test_what_a_killed_process_was_writing_is_removed(load, tmp_path) -> None:
    folder = whole(load, tmp_path).folder
    shard_path(folder, 0).unlink()
    old, new = folder / ".0a.tmp", folder / ".0b.tmp"
    for file in (old, new):
        file.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    whole(load, tmp_path)
    assert not old.exists() and new.exists()


def test_a_disk_that_is_too_small_is_seen_first(load, tmp_path, monkeypatch) -> None:
    said: list[int] = []
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(ZsadError) as refusal:
        whole(load, tmp_path, announce=lambda size, folder: said.append(size))
    (folder,) = tmp_path.iterdir()
    assert said and not list(folder.glob("*shard*"))
    message = str(refusal.value)
    assert f"needs {said[0] / 1e6:.1f} MB in folder '{folder}', where 0.0 MB are free" in message
    assert all(mend in message for mend in ("--cache DIR", "--cache-dtype float16", "--no-cache"))


@pytest.fixture
def small_disk(tmp_path: Path, require: Any) -> Iterator[Path]:
    """A file system of its own with room for 4 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        require("tmpfs", f"cannot mount a file system: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_disk_that_fills_up_keeps_what_is_finished(load, expected, small_disk) -> None:
    rubbish = small_disk / "rubbish"

    def fill(done: int, total: int) -> None:
        if done > 12 and not rubbish.exists():  # after at least two files
            with rubbish.open("wb", buffering=0) as stream:
                try:
                    while True:
                        stream.write(bytes(4096))
                except OSError:
                    pass

    with pytest.raises(ZsadError, match=r"the disk is full: .*'.*/disk/.*--cache DIR.*--no-cache") as refusal:
        whole(load, small_disk, report=fill)
    assert "\n" not in str(refusal.value)
    (folder,) = (entry for entry in small_disk.iterdir() if entry.is_dir())
    left = content(folder)
    assert 3 <= len(left) < 7 and left.items() <= expected.items()
    rubbish.unlink()
    assert content(whole(load, small_disk).folder) == expected


def test_a_complete_cache_may_be_read_only(load, public_path, unprivileged) -> None:
    cache = whole(load, public_path)
    with unprivileged():
        again = whole(load, public_path)
        assert_same(again.batch([3], CPU), cache.batch([3], CPU))
        with pytest.raises(ZsadError, match=r"cannot write in folder .*--cache DIR.*--no-cache"):
            open_cache(load(), DrawnExamples(5), public_path)


def test_reading_takes_no_memory_of_its_own(tmp_path) -> None:
    # 8 files of 16 MB, of which a step reads a row each.
    for number in range(8):
        rows = {"tokens.0": torch.full((16, 256, 1024), float(number)), "image_feature": torch.zeros(16, 4),
                "masks": torch.zeros(16, 8, dtype=torch.uint8), "anomalous": torch.zeros(16) > 0,
                "weights": torch.ones(16)}  # fmt: skip
        places = ({"space": "joint", "block": 1, "grid": [16, 16]},)
        write_shard(tmp_path, number, Packed(rows, {}, places, ("a",) * 16))
    cache = CachedFeatures(
        tmp_path, images=128, shard_size=16, reading=Reading((), (("t", 0),)), size=8, dtype=torch.float32
    )
    cache.batch(range(0, 128, 16), CPU)  # what a batch itself takes, the allocator keeps
    before = anonymous_memory()
    for place in range(16):
        tokens = cache.batch(range(place, 128, 16), CPU).features.token_sets[0].tokens
        assert tokens[:, 0, 0].tolist() == list(range(8))
    assert anonymous_memory() - before < 40e6  # a batch is 8 MB, the set 134 MB
    maps = Path("/proc/self/maps").read_text()
    assert all(str(shard_path(tmp_path, number)) in maps for number in range(8))


def anonymous_memory() -> float:
    """Return the bytes of this process that are no views of files."""
    found = re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
    if found is None:
        pytest.skip("the system does not tell a process's own memory from views of files")
    return float(found[1]) * 1024
