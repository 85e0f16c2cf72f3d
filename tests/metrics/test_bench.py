"""The benchmark compares like with like; its figures themselves depend on the machine."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from zsad.cli.main import main
from zsad.errors import ZsadError
from zsad.metrics.bench import bench_metrics, synthetic_maps


def test_rows() -> None:
    mine, other = bench_metrics(20_000, seed=1)
    assert (mine["implementation"], other["implementation"]) == ("zsad", "scikit-learn")
    assert mine["pixels"] == other["pixels"] == pytest.approx(20_000, rel=0.2)
    assert mine["largest_difference"] < 1e-12
    assert other["ratio"] == 1
    assert min(mine["seconds"], other["seconds"], mine["memory_mib"], other["memory_mib"]) > 0


@pytest.mark.parametrize("pixels", [256, 5000, 600_000])
def test_maps_have_defects_and_the_wanted_size(pixels: int) -> None:
    maps, masks = synthetic_maps(pixels, 0)
    assert maps.shape == masks.shape
    assert maps.size == pytest.approx(pixels, rel=0.5)
    assert masks.any() and not masks[0].any()
    np.testing.assert_array_equal(maps, synthetic_maps(pixels, 0)[0])


def test_a_missing_sklearn_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.metrics", None)
    with pytest.raises(ZsadError, match="scikit-learn is not installed"):
        bench_metrics(256)


def test_command(capsys: pytest.CaptureFixture[str]) -> None:
    main(["bench", "metrics", "--pixels", "5000", "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert [row["implementation"] for row in answer] == ["zsad", "scikit-learn"]
    main(["bench", "metrics", "--pixels", "5000"])
    shown = capsys.readouterr().out
    assert shown.startswith("implementation") and "scikit-learn" in shown


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("import zsad.cli.bench", ("torch", "numpy", "sklearn")),
        ("import zsad_plugins.metrics", ("torch", "numpy", "zsad.metrics")),
        ("import zsad.metrics.bench", ("torch", "scipy", "sklearn")),
    ],
)
def test_imports_are_light(statement: str, unwanted: tuple[str, ...]) -> None:
    program = f"import sys; {statement}; print([m for m in {unwanted} if m in sys.modules])"
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert output.stdout.strip() == "[]"
