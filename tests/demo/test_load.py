"""Ten visitors at once: everybody gets an answer about the own image, and memory does not grow."""

from __future__ import annotations

import gc
import io
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from gradio_client import handle_file
from PIL import Image

from tests.demo.conftest import Served
from tests.loading import load_detector
from zsad.data.images import read_image
from zsad.detect.predictions import native_map

VISITORS, REQUESTS = 10, 10


def resident() -> float:
    """Return the resident memory of this process, which serves the app, in MiB."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.acceptance
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_ten_visitors_ask_ten_times_each(served: Served, samples: list[Path], tmp_path: Path) -> None:
    detector = load_detector("clip-baseline", backbone="mini", device="cpu", dtype="float32")
    rng = np.random.default_rng(0)
    images = []
    for number in range(VISITORS * REQUESTS):
        pixels = read_image(samples[number % len(samples)]).astype(np.int16)
        pixels += rng.integers(-40, 40, 3, dtype=np.int16)
        path = tmp_path / f"visitor-{number // REQUESTS}-{number % REQUESTS}.png"
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
        images.append(path)
    wanted = {}
    for path in images:
        prediction = detector.predict([path], "biscuit")
        wanted[path.name] = float(prediction.score[0]), native_map(prediction.anomaly_map[0], 320, 320)
    assert len({round(score, 7) for score, _ in wanted.values()}) > 95  # answers can be told apart

    clients = [served.client() for _ in range(VISITORS)]

    def visit(visitor: int) -> list[float]:
        client, took = clients[visitor], []
        for path in images[visitor * REQUESTS : (visitor + 1) * REQUESTS]:
            start = time.perf_counter()
            _, _, _, facts, pair, _, _, _ = client.predict(
                handle_file(str(path)), "biscuit", "clip-baseline", "", "", None, api_name="/inspect"
            )
            took.append(time.perf_counter() - start)
            score, anomaly_map = wanted[path.name]
            assert facts["image"] == path.name
            assert facts["score"] == pytest.approx(score, abs=1e-5)
            shown = np.asarray(Image.open(io.BytesIO(Path(pair[0]["path"]).read_bytes())), np.int16)
            assert np.abs(shown - read_image(path)).mean() < 6  # the visitor's own image, but for JPEG
            at = client.predict(0.3, api_name="/threshold")[3]
            assert at["area_share"] == pytest.approx((anomaly_map >= 0.3).mean(), abs=1e-4)
        return took

    def round_of_all() -> list[float]:
        with ThreadPoolExecutor(VISITORS) as pool:
            return [seconds for took in pool.map(visit, range(VISITORS)) for seconds in took]

    round_of_all()
    round_of_all()  # what is kept for later is kept by now
    before, start = resident(), time.perf_counter()
    took = sorted(round_of_all())
    seconds, after = time.perf_counter() - start, resident()
    print(
        f"{len(took)} requests in {seconds:.1f} s, median {took[len(took) // 2]:.2f} s, worst "
        f"{took[-1]:.2f} s; memory {before:.0f} MiB before, {after:.0f} MiB after"
    )
    assert len(took) == VISITORS * REQUESTS
    growth = [after - before]
    while growth[-1] >= 50 and len(growth) < 4:  # allocators settle, and a leak goes on
        before = resident()
        round_of_all()
        growth.append(resident() - before)
    assert growth[-1] < 50, growth
