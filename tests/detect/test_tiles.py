from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsad.detect.detector import Detector
from zsad.detect.loading import load
from zsad.detect.predictions import ImageResult, predict_files
from zsad.detect.request import DetectorRequest
from zsad.detect.tiles import Mosaic, Tiling
from zsad.errors import InputError
from zsad.files import write_png

TILINGS = st.builds(Tiling, st.integers(1, 40), st.floats(0, 0.9))


@given(TILINGS, st.integers(1, 120), st.integers(1, 120))
def test_tiles_cover_the_image_and_overlap_as_asked(tiling: Tiling, height: int, width: int) -> None:
    boxes = tiling.boxes(height, width)
    seen = np.zeros((height, width), np.int64)
    for left, top, right, bottom in boxes:
        assert (bottom - top, right - left) == (min(tiling.side, height), min(tiling.side, width))
        seen[top:bottom, left:right] += 1
    assert seen.min() >= 1 and len(set(boxes)) == len(boxes)
    columns = sorted({left for left, *_ in boxes})
    common = [left + tiling.side - right for left, right in pairwise(columns)]
    assert all(shared >= int(tiling.side * tiling.overlap) - 1 for shared in common)


@given(TILINGS, st.integers(1, 60), st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_the_maps_of_tiles_are_one_map_again(tiling: Tiling, height: int, width: int, seed: int) -> None:
    wanted = np.random.default_rng(seed).random((height, width)).astype(np.float32)
    mosaic = Mosaic(tiling, height, width)
    for left, top, right, bottom in tiling.boxes(height, width):
        assert mosaic.size == (bottom - top, right - left)
        mosaic.add(wanted[top:bottom, left:right])
    np.testing.assert_allclose(mosaic.result(), wanted, atol=1e-6)


def test_levels_that_differ_meet_in_a_slope() -> None:
    tiling = Tiling(40, 0.5)
    mosaic = Mosaic(tiling, 40, 100)
    for number in range(len(tiling.boxes(40, 100))):
        mosaic.add(np.full((40, 40), float(number), np.float32))
    steps = np.abs(np.diff(mosaic.result(), axis=1))
    assert steps.max() <= np.pi / 2 / (0.5 * 40) + 1e-6


@pytest.mark.parametrize(
    ("side", "overlap", "said"), [(0, 0.25, "tiles of 0"), (8, 1.0, "share of 1.0"), (8, float("nan"), "nan")]
)
def test_what_is_no_tiling(side: int, overlap: float, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Tiling(side, overlap)


@pytest.fixture(scope="module")
def detector() -> Detector:
    return load(DetectorRequest(method="clip-baseline", backbone="mini", image_size=240, device="cpu"))


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A texture of 480 x 620 pixels with fine and coarse structure."""
    rng = np.random.default_rng(3)
    coarse = np.kron(rng.integers(60, 190, (16, 21, 3)), np.ones((30, 30, 1)))[:480, :620]
    path = tmp_path_factory.mktemp("large") / "large.png"
    write_png(path, np.clip(coarse + rng.normal(0, 20, coarse.shape), 0, 255).astype(np.uint8))
    return path


def seam(anomaly_map: np.ndarray, tiling: Tiling) -> float:
    """Return the mean step across the tiles' edges in units of the mean step within 8 pixels of them."""
    steps = np.abs(np.diff(anomaly_map, axis=1)).mean(0)
    height, width = anomaly_map.shape
    edges = {x for left, _, right, _ in tiling.boxes(height, width) for x in (left, right)} - {0, width}
    near = [edge - 1 + shift for edge in edges for shift in range(-8, 9) if shift]
    return float(steps[[edge - 1 for edge in edges]].mean() / steps[near].mean())


def test_the_edge_of_a_tile_leaves_no_seam(detector: Detector, large) -> None:
    def scored(tiling: Tiling) -> np.ndarray:
        (result,) = predict_files(detector, [large], "object", 2, tiling=tiling)
        assert isinstance(result, ImageResult) and result.anomaly_map.shape == (480, 620)
        return result.anomaly_map

    # Without an overlap the edges show, so the figure tells.
    assert seam(scored(Tiling(240, 0)), Tiling(240, 0)) > 3
    assert seam(scored(Tiling(240, 0.25)), Tiling(240, 0.25)) < 1.3


def test_a_tile_is_an_image_and_the_highest_score_counts(detector: Detector, large) -> None:
    from zsad.data.images import read_image
    from zsad.detect.predictions import native_map

    pixels, tiling = read_image(large), Tiling(300, 0)
    (result,) = predict_files(detector, [large], "object", 4, tiling=tiling)
    assert isinstance(result, ImageResult)
    alone = [
        detector.predict([np.ascontiguousarray(pixels[top:bottom, left:right])])
        for left, top, right, bottom in tiling.boxes(480, 620)
    ]
    assert result.score == pytest.approx(max(float(each.score) for each in alone), abs=1e-5)
    left, top, right, bottom = tiling.boxes(480, 620)[0]
    corner = native_map(alone[0].anomaly_map[0], bottom - top, right - left)
    np.testing.assert_allclose(result.anomaly_map[:150, :150], corner[:150, :150], atol=1e-5)


def test_a_tile_larger_than_the_image_is_the_image(detector: Detector, large) -> None:
    (plain,) = predict_files(detector, [large], "object", 1)
    (tiled,) = predict_files(detector, [large], "object", 1, tiling=Tiling(1000))
    assert isinstance(plain, ImageResult) and isinstance(tiled, ImageResult)
    assert plain.score == tiled.score
    np.testing.assert_allclose(plain.anomaly_map, tiled.anomaly_map, atol=1e-6)


def test_two_phase_methods_see_every_tile(large) -> None:
    musc = load(DetectorRequest(method="musc", backbone="mini", image_size=240, device="cpu"))
    (result,) = predict_files(musc, [large], "object", 2, tiling=Tiling(240, 0.2))
    assert isinstance(result, ImageResult) and result.anomaly_map.shape == (480, 620)
    assert np.ptp(result.anomaly_map) > 0 and np.isfinite(result.score)
