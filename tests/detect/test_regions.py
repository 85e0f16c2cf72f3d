from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from zsad.detect.regions import find_regions, mask_at, position
from zsad.errors import InputError


def test_the_mask_has_the_pixels_that_reach_the_threshold() -> None:
    values = np.array([[0.2, 0.5], [0.7, 0.5000001]], np.float32)
    assert mask_at(values, 0.5).tolist() == [[False, True], [True, True]]


@pytest.mark.parametrize("threshold", [float("nan"), float("inf")])
def test_a_threshold_that_is_no_number_is_refused(threshold: float) -> None:
    with pytest.raises(InputError, match="has to be a number"):
        mask_at(np.zeros((2, 2)), threshold)


def test_regions_agree_with_scipy_on_random_maps() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        values = ndimage.gaussian_filter(rng.random((37, 53)), 2).astype(np.float32)
        mask = mask_at(values, float(np.quantile(values, 0.8)))
        labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
        wanted = {
            (
                round(float(values[labels == n].max()), 6),
                int((labels == n).sum()),
                tuple(round((x + 0.5) / side, 9) for x, side in zip(centre, mask.shape, strict=True)),
            )
            for n, centre in enumerate(ndimage.center_of_mass(mask, labels, range(1, count + 1)), start=1)
        }
        found = find_regions(mask, values)
        assert {
            (round(r.peak, 6), round(r.area * mask.size), tuple(round(x, 9) for x in r.centre)) for r in found
        } == wanted
        assert [r.peak for r in found] == sorted((r.peak for r in found), reverse=True)


def test_pixels_that_touch_at_a_corner_are_one_region() -> None:
    assert len(find_regions(np.eye(3, dtype=np.bool_), np.eye(3))) == 1


def test_an_empty_mask_has_no_region() -> None:
    assert find_regions(np.zeros((8, 8), np.bool_), np.zeros((8, 8))) == []


def test_a_box_holds_its_region_and_nothing_more() -> None:
    values = np.zeros((8, 9), np.float32)
    values[2:5, 3:7] = 1
    values[7, 8] = 2
    small, large = find_regions(mask_at(values, 1), values)
    assert small.box == (8, 7, 9, 8) and large.box == (3, 2, 7, 5)
    assert large.plain() == {
        "position": "centre", "box": [3, 2, 7, 5], "area_share": 12 / 72, "peak": 1.0,
        "centre": [3.5 / 8, 5 / 9],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("row", "column", "words"),
    [(0.1, 0.1, "top left"), (0.5, 0.5, "centre"), (0.5, 0.99, "right"), (1.0, 0.5, "bottom"),
     (0.33, 0.34, "top"), (0.67, 0.0, "bottom left")],
)  # fmt: skip
def test_positions_in_words(row: float, column: float, words: str) -> None:
    assert position(row, column) == words


def test_regions_of_a_large_map_are_those_of_scipy() -> None:
    rng = np.random.default_rng(2)
    mask = ndimage.binary_dilation(rng.random((2500, 40)) > 0.998, iterations=3)
    values = rng.random(mask.shape)
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    places = range(1, count + 1)
    wanted = sorted(
        zip(
            ndimage.maximum(values, labels, places),
            ndimage.sum_labels(mask, labels, places) / mask.size,
            [((row + 0.5) / 2500, (column + 0.5) / 40)
             for row, column in ndimage.center_of_mass(mask, labels, places)],
            strict=True,
        ),
        reverse=True,
    )  # fmt: skip
    found = find_regions(mask, values)
    assert len(found) == count > 20
    for region, (peak, area, centre) in zip(found, wanted, strict=True):
        assert (region.peak, region.area) == pytest.approx((peak, area))
        assert region.centre == pytest.approx(centre)
