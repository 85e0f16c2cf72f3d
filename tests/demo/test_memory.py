"""A real server under large images from every side at once: how much memory its process takes."""

from __future__ import annotations

import re
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.demo.test_command import start, url_of

LIMIT = 2500
"""Most resident memory of the process, in MiB."""


def peak(process: int) -> float:
    """Return the most memory that a process had, in MiB."""
    status = Path(f"/proc/{process}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found
    return int(found[1]) / 1024


def run(url: str, name: str, data: list[Any]) -> str:
    """Call an endpoint through the queue and return how it ended."""
    answer = httpx.post(f"{url}gradio_api/call/{name}", json={"data": data}, timeout=60)
    assert answer.status_code == 200, answer.text
    event = httpx.get(f"{url}gradio_api/call/{name}/{answer.json()['event_id']}", timeout=400).text
    return re.findall(r"event: (complete|error)", event)[-1]


@pytest.mark.acceptance
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_six_large_images_at_once_stay_below_a_limit(tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    Image.new("RGB", (10_000, 10_000), (120, 90, 60)).save(large)
    assert large.stat().st_size < 500_000
    process = start(cwd=tmp_path, TMPDIR=str(tmp_path))
    try:
        url = url_of(process)
        with large.open("rb") as stream:
            path = httpx.post(f"{url}gradio_api/upload", files={"files": stream}, timeout=60).json()[0]
        file = {"path": path, "orig_name": "large.png", "meta": {"_type": "gradio.FileData"}}
        inspect = [file, "", "clip-baseline", "", "", None]
        before = peak(process.pid)
        with ThreadPoolExecutor(6) as pool:
            direct = [
                pool.submit(httpx.post, f"{url}gradio_api/run/inspect", json={"data": inspect}, timeout=400)
                for _ in range(6)
            ]
            assert [done.result().status_code for done in direct] == [404] * 6
            queued = [pool.submit(run, url, "inspect", inspect) for _ in range(6)]
            assert [done.result() for done in queued] == ["complete"] * 6
            alone = peak(process.pid)
            mixed = [
                pool.submit(run, url, "inspect", inspect),
                pool.submit(run, url, "batch", [[file] * 3, "", "clip-baseline", None]),
                pool.submit(run, url, "compare", [file, "", ["clip-baseline", "winclip"], None]),
            ]
            assert [done.result() for done in mixed] == ["complete"] * 3
        print(f"{before:.0f} MiB before, {alone:.0f} MiB by six, {peak(process.pid):.0f} MiB with all routes")
        assert peak(process.pid) < LIMIT
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
