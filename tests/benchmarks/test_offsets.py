"""What an offset of whole maps does, and does not do, to the figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.offsets import main, offset, within
from tests.training.drawing import draw_set


def test_an_offset_of_whole_maps_is_seen_and_changes_nothing_within() -> None:
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(40, 20, 20)).astype(np.float32)
    masks = np.zeros(maps.shape, bool)
    masks[:30, :4, :5] = True
    moved = maps + 3 * rng.normal(size=(40, 1, 1)).astype(np.float32)
    assert within(moved, masks) == pytest.approx(within(maps, masks), abs=1e-5)
    assert within(maps, masks) == pytest.approx(0.5, abs=0.05)
    assert offset(maps, masks) == pytest.approx(1 / 20, rel=0.3)  # of a mean over 400 pixels
    assert offset(moved, masks) == pytest.approx(3, rel=0.3)


def test_a_row_for_every_set_and_method(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = draw_set(tmp_path / "bottle")
    main(
        [
            "--method",
            "clip-baseline",
            "--method",
            "nearest-neighbour",
            "--data",
            f"folder={root}",
            "--shots",
            "2",
        ]
    )
    rows = [line.split(" | ")[:2] for line in capsys.readouterr().out.splitlines()[2:]]
    assert rows == [["| bottle", "clip-baseline"], ["| bottle", "nearest-neighbour"]]
