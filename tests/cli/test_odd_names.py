"""Names of files that are no UTF-8, through commands whose output takes nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image


def gbk(text: str) -> str:
    """Return a name as an archive packed on a Chinese Windows has it."""
    return os.fsdecode(text.encode("gbk"))


def draw(path: Path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:  # Pillow takes no such name
        pixels = np.random.default_rng(value).integers(0, 256, (40, 40), dtype=np.uint8)
        Image.fromarray(pixels).save(stream, "PNG")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / gbk("数据")
    for number in range(2):
        draw(folder / gbk("螺母") / "good" / gbk(f"图{number}.png"), number)
        draw(folder / gbk("螺母") / gbk("划痕") / gbk(f"图{number}.png"), 5 + number)
    (folder / gbk("坏.heic")).touch()
    return folder


def run(*words: object) -> tuple[str, str]:
    """Run a command whose streams refuse what is no UTF-8, and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "zsad", *map(str, words)],
        env=os.environ | {"PYTHONIOENCODING": "utf-8:strict"},
        capture_output=True,
        check=False,
    )
    out, err = done.stdout.decode("utf-8"), done.stderr.decode("utf-8")
    assert done.returncode == 0, err
    return out, err


def test_check(root) -> None:
    out, err = run("datasets", "check", f"folder={root}", "--names")
    assert repr(gbk("螺母"))[1:-1] in out and repr(gbk("坏"))[1:-1] in err
    assert err.count("left out: ") == 2
    assert json.loads(run("datasets", "check", f"folder={root}", "--json")[0])["problems"] == []


def test_evaluate_resume_and_report(root, tiny, tmp_path) -> None:
    out = tmp_path / gbk("结果")
    words = (
        "eval",
        "--method",
        "clip-baseline",
        "--backbone",
        tiny,
        "--data",
        f"folder={root}",
        "--out",
        out,
    )
    run(*words)
    _, err = run(*words, "--resume")
    assert "1 of 1 cells were finished already" in err
    run("report", out)
    with (out / "per_image.parquet").open("rb") as stream:
        rows = pq.read_table(stream).to_pylist()
    escaped = repr(gbk("图0.png"))[1:-1]
    assert len(rows) == 4 and sum(row["image"].endswith(escaped) for row in rows) == 2
    assert {row["defect_type"] for row in rows} == {None, repr(gbk("划痕"))[1:-1]}


def test_predict_twice(root, tiny, tmp_path) -> None:
    out = root / gbk("结果")
    words = ("predict", root, "--method", "clip-baseline", "--backbone", tiny, "--save-maps", "--json")
    for folder in (out, out, tmp_path / "other"):
        found = json.loads(run(*words, "--out", folder)[0])
        assert len(found["images"]) == 4
        assert all(Path(image["overlay"]).is_file() for image in found["images"])
