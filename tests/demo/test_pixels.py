"""Decoded images in memory at once, and what images are counted as."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zsad.errors import InputError
from zsad_demo.pixels import Room
from zsad_demo.uploads import Upload


def test_no_more_are_held_than_there_is_room_for() -> None:
    room, held, most, lock = Room(100), [0], [0], threading.Lock()
    sizes = np.random.default_rng(0).integers(1, 100, 60).tolist()

    def decode(size: int) -> None:
        with room.taken(size):
            with lock:
                held[0] += size
                most[0] = max(most[0], held[0])
            time.sleep(0.001)
            with lock:
                held[0] -= size

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(decode, sizes))
    assert max(sizes) <= most[0] <= 100
    assert room.held == 0


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_what_a_thread_has_decoded_is_given_back_while_it_lives(tmp_path: Path) -> None:
    Image.new("RGB", (6000, 6000), (120, 90, 60)).save(tmp_path / "large.png")
    code = """
import os, sys, threading
from pathlib import Path
from zsad_demo.uploads import Upload

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 2**20

def visitor():
    with lock, upload.opened():
        pass
    done.release()
    ended.wait()

upload, lock = Upload(Path(sys.argv[1]), "large"), threading.Lock()
done, ended = threading.Semaphore(0), threading.Event()
before = resident()
threads = [threading.Thread(target=visitor) for _ in range(4)]
[thread.start() for thread in threads]
[done.acquire() for _ in threads]
print(resident() - before)
ended.set()
"""
    shown = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "large.png")],
        check=True, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert int(shown.stdout) < 144  # MiB: less than one decoded image, of four


def test_what_is_larger_than_the_room_gets_in_alone_and_a_failure_leaves_it() -> None:
    room = Room(100)
    with pytest.raises(ValueError, match="broken"), room.taken(500):
        assert room.held == 500
        raise ValueError("broken")
    assert room.held == 0


def test_transparent_pixels_count_twice(tmp_path: Path) -> None:
    for mode, pixels in (("RGB", 600), ("RGBA", 1200), ("LA", 1200), ("L", 600)):
        Image.new(mode, (30, 20)).save(tmp_path / f"{mode}.png")
        assert Upload(tmp_path / f"{mode}.png", "x").pixels() == pixels
    (tmp_path / "text.png").write_text("no")
    assert Upload(tmp_path / "text.png", "x").pixels() == 0


def test_large_transparent_images_are_refused_by_their_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zsad_demo.uploads.MAX_PIXELS", 2_000_000)
    Image.new("RGBA", (1001, 1000)).save(tmp_path / "x.png")
    with pytest.raises(
        InputError, match=r"^cannot read 'a\.png': it has more than 1 megapixels with transparency$"
    ):
        Upload(tmp_path / "x.png", "a.png").read()
